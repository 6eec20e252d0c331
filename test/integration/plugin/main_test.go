// Package plugin_test runs the built kubectl-mooring against a real kube-apiserver, as people with
// few rights. The tests play controller and gateways: they write their answers as the
// administrator.
package plugin_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/cluster"
)

var (
	sharedCluster *cluster.Cluster
	// workDir contains the binary and the kubeconfigs.
	workDir string
)

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	// The first start on a machine builds the control plane, which takes long.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	if err := prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(workDir)
	defer func() {
		if err := sharedCluster.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "close the cluster:", err)
		}
	}()
	if err := sharedCluster.InstallAll(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// prepare starts a cluster and builds the program, with the flags of the Makefile to share its
// cache.
func prepare(ctx context.Context) error {
	var err error
	if workDir, err = os.MkdirTemp("", "mooring-plugin-"); err != nil {
		return err
	}
	root, err := controlplane.Root()
	if err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary(), "./cmd/kubectl-mooring")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build kubectl-mooring: %w: %s", err, out)
	}
	sharedCluster, err = cluster.Start(ctx, controlplane.Options{})
	return err
}

func binary() string { return filepath.Join(workDir, "kubectl-mooring") }
