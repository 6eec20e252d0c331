package threats_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/identity/store"
)

// An attacker has put files where an agent writes: the remains of an unfinished write, as a
// symbolic link or readable for all. The agent writes nothing through them, and no key becomes
// readable.
func TestPreparedFilesInTheIdentityDirectoryCatchNothing(t *testing.T) {
	f := newFleet(t)
	id := f.stealIdentity("kiosk")
	source := system.IdentityDir(f.Namespace + "-kiosk")
	for name, prepare := range map[string]func(dir, bait string) error{
		"a link instead of an unfinished file": func(dir, bait string) error { return os.Symlink(bait, filepath.Join(dir, ".new-prepared")) },
		"an unfinished file readable for all":  func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, ".new-prepared"), nil, 0o644) }, //nolint:gosec // the attack
		"a link instead of the identity": func(dir, bait string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "identity.pem")), os.Symlink(bait, filepath.Join(dir, "identity.pem")))
		},
		"a link instead of the previous identity": func(dir, bait string) error {
			path := filepath.Join(dir, "identity.pem.previous")
			return errors.Join(os.RemoveAll(path), os.Symlink(bait, path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, bait := filepath.Join(t.TempDir(), "id"), filepath.Join(t.TempDir(), "bait")
			if err := errors.Join(copyDir(source, dir), os.WriteFile(bait, []byte("bait"), 0o600), prepare(dir, bait)); err != nil {
				t.Fatal(err)
			}
			opened, err := store.Open(dir)
			if err == nil {
				err = errors.Join(opened.SaveIdentity(id), opened.Close())
			}
			if err != nil && !errors.Is(err, store.ErrInsecure) {
				t.Errorf("the agent ended with %v, want it to go on or to refuse the directory", err)
			}
			if text, err := os.ReadFile(bait); err != nil || !bytes.Equal(text, []byte("bait")) {
				t.Errorf("it wrote through the link: %d bytes, %v", len(text), err)
			}
			if keys := privateKeys(t, dir); keys == 0 && err == nil {
				t.Error("the identity was not saved")
			}
		})
	}
}

// copyDir copies the files of a directory for this user alone.
func copyDir(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue // the agent creates its folders again when they are missing
		}
		text, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, entry.Name()), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// privateKeys counts the files that contain a private key, and fails the test for each that others
// can read.
func privateKeys(t *testing.T, dir string) (keys int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("PRIVATE KEY")) {
			keys++
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s holds a key and has mode %v", entry.Name(), info.Mode())
			}
		}
	}
	return keys
}
