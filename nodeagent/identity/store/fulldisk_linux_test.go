package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

// TestAFullDiskCostsNothing fills a small file system and verifies that the identity stays whole.
func TestAFullDiskCostsNothing(t *testing.T) {
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=128k,mode=0700"); err != nil {
		t.Skipf("SKIPPED, the full disk is NOT tested: mounting a small file system needs root and its rights: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(filepath.Join(mount, "id"))
	if err != nil {
		t.Fatal(err)
	}
	ca := fakegateway.NewCA(t, "ca")
	current := newIdentity(t, ca, fakegateway.NewKey(t))
	if err := errors.Join(s.SaveIdentity(current), s.Close()); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(mount, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want a full disk", err)
	}
	if s, err = Open(filepath.Join(mount, "id")); err != nil {
		t.Fatalf("start on a full disk: %v", err)
	}
	defer s.Close()
	next := newIdentity(t, ca, fakegateway.NewKey(t))
	if err := s.SaveIdentity(next); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("got %v, want a full disk", err)
	}
	if got, err := s.Identity(); err != nil || !got.Key.Equal(current.Key) {
		t.Fatalf("the identity is gone: %v", err)
	}
	if err := s.checkModes(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(os.Remove(ballast), s.SaveIdentity(next)); err != nil {
		t.Fatalf("after there is space again: %v", err)
	}
}
