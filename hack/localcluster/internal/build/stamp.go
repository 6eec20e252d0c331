package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stamp returns a hash of the inputs of a binary: sources, dependencies, compiler.
func (b Builder) stamp(ctx context.Context, v Variant) (string, error) {
	toolchain, err := b.goCommand(ctx, "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("ask the go tool for its version (is Go installed?): %w", withStderr(err))
	}
	files, err := filepath.Glob(filepath.Join(b.Module(), "cmd", "controlplane", "*.go"))
	if err != nil {
		return "", fmt.Errorf("list sources: %w", err)
	}
	files = append(files, filepath.Join(b.Module(), "go.mod"), filepath.Join(b.Module(), "go.sum"))
	slices.Sort(files)
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%s\x00%s\x00%s\x00", toolchain, v.tags, kubernetesVersion)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read source: %w", err)
		}
		_, _ = fmt.Fprintf(hash, "%s\x00%d\x00%s", filepath.Base(file), len(data), data)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func stampPath(folder string) string { return filepath.Join(folder, binaryName+".stamp") }

func writeStamp(folder, stamp string) error {
	if err := os.WriteFile(stampPath(folder), []byte(stamp+"\n"), 0o644); err != nil {
		return fmt.Errorf("write build stamp: %w", err)
	}
	return nil
}

// upToDate reports whether all files of the variant exist and were built from the inputs of stamp.
func (b Builder) upToDate(v Variant, stamp string) bool {
	folder := b.Folder(v)
	data, err := os.ReadFile(stampPath(folder))
	if err != nil || strings.TrimSpace(string(data)) != stamp {
		return false
	}
	for _, name := range append([]string{binaryName}, v.programs...) {
		if executable(filepath.Join(folder, name)) != nil {
			return false
		}
	}
	return v.folder != ControlPlane.folder || hasCRDs(filepath.Join(folder, crdFolder))
}

func hasCRDs(folder string) bool {
	crds, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	return err == nil && len(crds) > 0
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return errors.New(path + " is not executable")
	}
	return nil
}
