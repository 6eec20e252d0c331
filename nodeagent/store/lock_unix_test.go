//go:build unix

package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A process that another goroutine starts has every file of this one until it executes its
// program: closing ours is then not the end of the lock.
func TestAChildThatStillHasTheLockFileDoesNotKeepAClosedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "id")
	s := open(t, dir)
	child := exec.CommandContext(t.Context(), "cat") // until its input ends
	child.ExtraFiles = []*os.File{s.lock}
	input, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(input.Close(), child.Wait()); err != nil {
			t.Error(err)
		}
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}
