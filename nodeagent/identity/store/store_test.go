package store

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newIdentity(t *testing.T, ca *fakegateway.CA, key *ecdsa.PrivateKey) Identity {
	t.Helper()
	leaf := ca.IssueDevice(t, fakegateway.ID("box"), &key.PublicKey, time.Hour)
	id, err := NewIdentity(key, []*x509.Certificate{leaf})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestLooseDirectoriesAreRefusedWithTheRepair(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		says  string
	}{
		"directory open to the group":  {func(t *testing.T, dir string) { chmod(t, dir, 0o750) }, "chmod 0700 "},
		"directory open to the world":  {func(t *testing.T, dir string) { chmod(t, dir, 0o701) }, "chmod 0700 "},
		"key readable by the group":    {func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, identityFile), 0o640) }, "chmod 0600 "},
		"journal writable by everyone": {func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, journalFile), 0o666) }, "chmod 0600 "},
		"key is a symbolic link": {func(t *testing.T, dir string) {
			target := filepath.Join(t.TempDir(), "elsewhere")
			writeFile(t, target, 0o600)
			link := filepath.Join(dir, identityFile)
			if err := errors.Join(os.Remove(link), os.Symlink(target, link)); err != nil {
				t.Fatal(err)
			}
		}, "symbolic link"},
		"a directory among the files": {func(t *testing.T, dir string) {
			if err := os.Mkdir(filepath.Join(dir, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "id")
			s := open(t, dir)
			if err := s.SaveIdentity(newIdentity(t, fakegateway.NewCA(t, "ca"), fakegateway.NewKey(t))); err != nil {
				t.Fatal(err)
			}
			s.Close()
			c.spoil(t, dir)
			again, err := Open(dir)
			if err == nil {
				again.Close()
			}
			if !errors.Is(err, ErrInsecure) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want ErrInsecure with %q", err, c.says)
			}
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, mode)
}

func TestFilesAreMadeForThisUserAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "id")
	s := open(t, dir)
	ca := fakegateway.NewCA(t, "ca")
	if err := s.FinishPairing(newIdentity(t, ca, fakegateway.NewKey(t)), ca.Bundle(t), Config{NodeEndpoint: "gw:7444"}); err != nil {
		t.Fatal(err)
	}
	if err := s.checkModes(); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %v (%v), want 0700", info.Mode(), err)
	}
}

func TestASecondAgentIsToldThatTheDirectoryIsInUse(t *testing.T) {
	dir := t.TempDir() + "/id"
	open(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
}

func TestAnEmptyDirectoryIsNotPaired(t *testing.T) {
	if _, err := open(t, t.TempDir()+"/id").Identity(); !errors.Is(err, ErrNotPaired) {
		t.Fatalf("got %v, want ErrNotPaired", err)
	}
}

// TestACrashAtAnyStepLeavesTheOldOrTheNew ends a renewal before each of its steps.
func TestACrashAtAnyStepLeavesTheOldOrTheNew(t *testing.T) {
	ca, key := fakegateway.NewCA(t, "ca"), fakegateway.NewKey(t)
	before, after := newIdentity(t, ca, key), newIdentity(t, ca, key)
	steps := 0
	for crashAt := 0; ; crashAt++ {
		dir := filepath.Join(t.TempDir(), "id")
		s := open(t, dir)
		if err := s.SaveIdentity(before); err != nil {
			t.Fatal(err)
		}
		step := 0
		s.beforeStep = func(name string) error {
			if step++; step > crashAt {
				return fmt.Errorf("%w before %s", errCrash, name)
			}
			return nil
		}
		saved := s.SaveIdentity(after)
		s.Close()
		again := open(t, dir)
		got, err := again.Identity()
		if err != nil {
			t.Fatalf("crash at step %d: %v", crashAt, err)
		}
		isOld, isNew := got.Leaf().Equal(before.Leaf()), got.Leaf().Equal(after.Leaf())
		if !isOld && !isNew || saved == nil && !isNew {
			t.Fatalf("crash at step %d: neither the old nor the new identity", crashAt)
		}
		entries, err := again.list()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), temporaryPrefix) {
				t.Errorf("crash at step %d: %s is left over", crashAt, e.Name())
			}
		}
		if saved == nil {
			break
		}
		steps++
	}
	if steps < 6 {
		t.Errorf("only %d steps were crashed at", steps)
	}
}

// TestACrashWhilePairingFinishesIsResumed ends FinishPairing before each of its steps. The machine
// must then either resume its request or have its whole identity.
func TestACrashWhilePairingFinishesIsResumed(t *testing.T) {
	ca, key := fakegateway.NewCA(t, "ca"), fakegateway.NewKey(t)
	id := newIdentity(t, ca, key)
	for crashAt, finished := 0, false; !finished; crashAt++ {
		dir := filepath.Join(t.TempDir(), "id")
		s := open(t, dir)
		pending := &Pending{Key: key, Tries: map[string]int{"K7QX2M": 1}, Request: &Request{Namespace: "fleet", Name: "r", Bundle: ca.Bundle(t)}}
		if err := s.SavePending(pending); err != nil {
			t.Fatal(err)
		}
		step := 0
		s.beforeStep = func(string) error {
			if step++; step > crashAt {
				return errCrash
			}
			return nil
		}
		finished = s.FinishPairing(id, ca.Bundle(t), Config{NodeEndpoint: "gw:7444"}) == nil
		s.Close()
		again := open(t, dir)
		if _, err := again.Identity(); err == nil {
			_, trustErr := again.Trust()
			_, configErr := again.Config()
			if err := errors.Join(trustErr, configErr); err != nil {
				t.Fatalf("crash at step %d: paired, but %v", crashAt, err)
			}
			continue
		}
		resumed, err := again.Pending()
		if err != nil || resumed == nil || resumed.Request == nil || !resumed.Key.Equal(key) || resumed.Tries["K7QX2M"] != 1 {
			t.Fatalf("crash at step %d: nothing to resume: %+v, %v", crashAt, resumed, err)
		}
	}
}

func TestADamagedIdentityFallsBackOnThePreviousOne(t *testing.T) {
	ca, key := fakegateway.NewCA(t, "ca"), fakegateway.NewKey(t)
	dir := t.TempDir() + "/id"
	s := open(t, dir)
	before := newIdentity(t, ca, key)
	if err := errors.Join(s.SaveIdentity(before), s.SaveIdentity(newIdentity(t, ca, key))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, identityFile), []byte("zeros"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.Identity()
	if err != nil || !got.Leaf().Equal(before.Leaf()) {
		t.Fatalf("got %v, want the previous identity", err)
	}
}

// TestADamagedBundleIsRestoredFromThePreviousOneIfThereIsOne damages the CA bundle of a machine
// before and after its first replacement. Only a replacement keeps a previous bundle. The advice
// does not name a previous bundle that is damaged too.
func TestADamagedBundleIsRestoredFromThePreviousOneIfThereIsOne(t *testing.T) {
	const restore, pair = "; restore it from trust.pem.previous, or pair again with another --identity-dir", "; pair again with another --identity-dir"
	for name, c := range map[string]struct {
		saves           int
		previousDamaged bool
		want            string
	}{
		"no previous bundle":        {1, false, pair},
		"a previous bundle":         {2, false, restore},
		"a damaged previous bundle": {2, true, pair},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir()+"/id")
			bundle := fakegateway.NewCA(t, "ca").Bundle(t)
			for range c.saves {
				if err := s.SaveTrust(bundle); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(s.Dir(), trustFile)
			if err := os.WriteFile(path, []byte("zeros"), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.previousDamaged {
				if err := os.WriteFile(path+previousSuffix, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := s.Trust()
			if !errors.Is(err, ErrDamaged) || !strings.HasSuffix(err.Error(), c.want) || strings.Contains(err.Error(), "restore") != (c.want == restore) {
				t.Errorf("got %v, want a damaged identity and %q", err, c.want)
			}
			if c.want == pair {
				return
			}
			// The advice of the error works.
			if err := os.Rename(path+previousSuffix, path); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Trust(); err != nil || got.SHA256() != bundle.SHA256() {
				t.Errorf("the restored bundle: %v", err)
			}
		})
	}
}

func TestAnIdentityIsOnlyOneThatFits(t *testing.T) {
	ca, key := fakegateway.NewCA(t, "ca"), fakegateway.NewKey(t)
	leaf := ca.IssueDevice(t, fakegateway.ID("box"), &key.PublicKey, time.Hour)
	if _, err := NewIdentity(fakegateway.NewKey(t), []*x509.Certificate{leaf}); err == nil {
		t.Error("a certificate for another key was accepted")
	}
	if _, err := NewIdentity(key, nil); err == nil {
		t.Error("an empty chain was accepted")
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	content, err := marshalKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	content = append(content, identity.MarshalCertificatesPEM(leaf)...)
	if _, err := parseIdentity(content); err == nil {
		t.Error("a key of another curve was accepted")
	}
}

func FuzzParseIdentity(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	content, err := marshalKey(key)
	if err != nil {
		f.Fatal(err)
	}
	ca := fakegateway.NewCA(f, "ca")
	leaf := ca.IssueDevice(f, identity.ID{TrustDomain: "t", Namespace: "n", Node: "b"}, &key.PublicKey, time.Hour)
	f.Add(append(content, identity.MarshalCertificatesPEM(leaf)...))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----"))
	f.Fuzz(func(t *testing.T, content []byte) {
		id, err := parseIdentity(content)
		if err == nil && (len(id.Chain) == 0 || !id.Key.PublicKey.Equal(id.Leaf().PublicKey)) {
			t.Error("the parsed identity has a key and a certificate that do not match")
		}
	})
}
