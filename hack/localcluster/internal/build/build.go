// Package build builds the multi-call binary of the control plane and locates the programs of a
// cluster.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

const (
	kubernetesVersion = "v1.37.2"
	versionPackage    = "k8s.io/component-base/version"
	certManagerModule = "github.com/cert-manager/cert-manager"
	binaryName        = "controlplane"
	crdFolder         = "crds"
)

// Variant is one of the two multi-call binaries.
type Variant struct {
	programs []string
	tags     string
	folder   string // below the folder of binaries
}

// The worker variant also contains the whole control plane. It is a separate file because most
// users never need to link it.
var (
	ControlPlane = Variant{programs: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "cert-manager"}}
	Worker       = Variant{programs: []string{"kube-scheduler", "kubelet", "kube-proxy", "kubectl"}, tags: "worker", folder: "worker"}
)

// Builder builds variants from the sources below a repository root.
type Builder struct {
	Root     string    // of the repository
	Progress io.Writer // for people
}

// FindRoot returns the repository that contains this module, searching upwards from dir.
func FindRoot(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "hack", "localcluster", "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no hack/localcluster in %s or above: run localcluster inside the repository or give --root", dir)
		}
	}
}

// Module returns the folder of this module's sources.
func (b Builder) Module() string { return filepath.Join(b.Root, "hack", "localcluster") }

// Folder returns the folder of a variant's programs.
func (b Builder) Folder(v Variant) string { return filepath.Join(b.Root, ".local", "bin", v.folder) }

// Ensure builds the variant unless the existing one was built from the same sources. Concurrent
// calls wait for the first.
func (b Builder) Ensure(ctx context.Context, v Variant) error {
	folder := b.Folder(v)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("create folder for binaries: %w", err)
	}
	stamp, err := b.stamp(ctx, v)
	if err != nil {
		return err
	}
	if b.upToDate(v, stamp) {
		return nil
	}
	lock, err := state.TryLock(filepath.Join(folder, ".build.lock"))
	if errors.Is(err, state.ErrLocked) {
		_, _ = fmt.Fprintln(b.Progress, "another build is under way, waiting for it")
		lock, err = state.WaitLock(ctx, filepath.Join(folder, ".build.lock"))
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if b.upToDate(v, stamp) {
		return nil
	}
	if err := b.compile(ctx, v); err != nil {
		return err
	}
	if err := b.install(ctx, v); err != nil {
		return err
	}
	return writeStamp(folder, stamp)
}

func (b Builder) compile(ctx context.Context, v Variant) error {
	major, minor, _ := strings.Cut(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	ldflags := fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s",
		versionPackage, kubernetesVersion, major, minor)
	command := b.goCommand(ctx, "build", "-v", "-trimpath", "-buildvcs=false", "-tags="+v.tags,
		"-ldflags="+ldflags, "-o", filepath.Join(b.Folder(v), binaryName+".new"), "./cmd/controlplane")
	return runWithProgress(command, b.Progress, "building the control plane")
}

// install moves the new binary into place and creates its links and CRDs.
func (b Builder) install(ctx context.Context, v Variant) error {
	folder := b.Folder(v)
	binary := filepath.Join(folder, binaryName)
	// A rename keeps the file of running processes, and never exposes half a file.
	if err := os.Rename(binary+".new", binary); err != nil {
		return fmt.Errorf("install control plane: %w", err)
	}
	for _, name := range v.programs {
		link := filepath.Join(folder, name)
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("replace link: %w", err)
		}
		if err := os.Symlink(binaryName, link); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	if v.folder != ControlPlane.folder {
		return nil
	}
	return b.copyCRDs(ctx)
}

// copyCRDs copies the definitions from the same module version as the compiled controllers.
func (b Builder) copyCRDs(ctx context.Context) error {
	source, err := b.goCommand(ctx, "list", "-m", "-f", "{{.Dir}}", certManagerModule).Output()
	if err != nil {
		return fmt.Errorf("find module %s: %w", certManagerModule, withStderr(err))
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(source)), "deploy", "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("module %s has no deploy/crds: %w", certManagerModule, errors.Join(err, os.ErrNotExist))
	}
	target := filepath.Join(b.Folder(ControlPlane), crdFolder)
	if err := os.RemoveAll(target); err != nil {
		return fmt.Errorf("replace CRDs: %w", err)
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return fmt.Errorf("create folder for CRDs: %w", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("copy CRD: %w", err)
		}
		if err := os.WriteFile(filepath.Join(target, filepath.Base(file)), data, 0o644); err != nil {
			return fmt.Errorf("copy CRD: %w", err)
		}
	}
	return nil
}

// goCommand returns a command of the go tool in this module, without a workspace and a C compiler.
func (b Builder) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = b.Module()
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	return command
}

func withStderr(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
