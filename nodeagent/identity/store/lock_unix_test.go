//go:build unix

package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAChildThatStillHasTheLockFileDoesNotKeepAClosedDirectory closes the store while a child holds
// the lock file. A child has every file of its parent from its fork until it executes its program,
// so closing the file does not free the lock.
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
