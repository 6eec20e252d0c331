package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestAnIdentityRemembersWhenItsKeyWasMade(t *testing.T) {
	ca := fakegateway.NewCA(t, "ca")
	s := open(t, t.TempDir()+"/id")
	id := newIdentity(t, ca, fakegateway.NewKey(t))
	if !id.KeyMade.Equal(id.Leaf().NotBefore) {
		t.Errorf("a key of unknown age was made %s, want the start of its certificate", id.KeyMade)
	}
	id.KeyMade = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := s.SaveIdentity(id); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Identity(); err != nil || !got.KeyMade.Equal(id.KeyMade) {
		t.Errorf("made %s (%v), want %s", got.KeyMade, err, id.KeyMade)
	}
	// The file of an agent from before that line, and a file whose line is invalid.
	path := filepath.Join(s.Dir(), identityFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, bare, _ := bytes.Cut(content, []byte("\n"))
	for _, first := range []string{"", keyMadePrefix + "yesterday\n"} {
		if err := os.WriteFile(path, append([]byte(first), bare...), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Identity(); err != nil || !got.KeyMade.Equal(got.Leaf().NotBefore) {
			t.Errorf("first line %q: made %s (%v)", first, got.KeyMade, err)
		}
	}
}

// TestACrashAtAnyStepOfARotationLeavesOneWholeIdentity ends a rotation before each of its steps.
// The remaining key and certificate must belong together, and the old key must still exist once the
// new key is in use.
func TestACrashAtAnyStepOfARotationLeavesOneWholeIdentity(t *testing.T) {
	ca := fakegateway.NewCA(t, "ca")
	before, after := newIdentity(t, ca, fakegateway.NewKey(t)), newIdentity(t, ca, fakegateway.NewKey(t))
	for crashAt, saved := 0, false; !saved; crashAt++ {
		s := open(t, filepath.Join(t.TempDir(), "id"))
		if err := s.SaveIdentity(before); err != nil {
			t.Fatal(err)
		}
		step := 0
		s.beforeStep = func(string) error {
			if step++; step > crashAt {
				return errCrash
			}
			return nil
		}
		saved = s.SaveIdentity(after) == nil
		s.Close()
		again := open(t, s.Dir())
		got, err := again.Identity()
		if err != nil {
			t.Fatalf("crash at step %d: %v", crashAt, err)
		}
		switch {
		case got.Key.Equal(after.Key):
			if previous, err := again.PreviousIdentity(); err != nil || !previous.Key.Equal(before.Key) {
				t.Errorf("crash at step %d: the old key is lost: %v", crashAt, err)
			}
		case saved || !got.Key.Equal(before.Key):
			t.Errorf("crash at step %d: neither the old nor the new key", crashAt)
		}
	}
}
