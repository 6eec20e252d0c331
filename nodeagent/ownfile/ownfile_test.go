//go:build unix

package ownfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestOnlyFilesThatNobodyElseCanWriteAreRead(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir, path string)
		ok    bool
	}{
		"as it should be":        {func(*testing.T, string, string) {}, true},
		"others may read it":     {func(t *testing.T, _, path string) { chmod(t, path, 0o644) }, true},
		"others may write it":    {func(t *testing.T, _, path string) { chmod(t, path, 0o602) }, false},
		"the group may write it": {func(t *testing.T, _, path string) { chmod(t, path, 0o660) }, false},
		"a directory for all":    {func(t *testing.T, dir, _ string) { chmod(t, dir, 0o777) }, false},
		"a symbolic link": {func(t *testing.T, _, path string) {
			must(t, os.Rename(path, path+"2"), os.Symlink(path+"2", path))
		}, true},
		"a pipe": {func(t *testing.T, _, path string) { must(t, os.Remove(path), syscall.Mkfifo(path, 0o600)) }, false},
		"another owner": {func(t *testing.T, _, path string) {
			if os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			must(t, os.Chown(path, 65534, 65534))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			must(t, os.WriteFile(path, []byte("x"), 0o600))
			c.spoil(t, dir, path)
			_, err := Read(path)
			if c.ok != (err == nil) || (err != nil && !errors.Is(err, ErrUnsafe)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	must(t, os.Chmod(path, mode))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
