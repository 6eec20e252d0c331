//go:build unix

package store

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

// These variables configure the child that works on a directory until it is killed.
const (
	killDir  = "MOORING_STORE_KILL_DIR"
	killStep = "MOORING_STORE_KILL_STEP"
)

// killRounds returns the number of kills, which is larger at full size.
func killRounds() int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return 200
	}
	return 20
}

// TestKilledWhileItStores is the child process. It pairs unless it is paired, and then renews and
// rotates until it dies. Before the step in the environment, if there is one, it kills itself. It
// runs under the loosest umask.
func TestKilledWhileItStores(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("run by TestAProcessKilledAtAnyStepStartsAgainWithAnIdentity")
	}
	last, err := strconv.Atoi(os.Getenv(killStep))
	if err != nil {
		t.Fatal(err)
	}
	syscall.Umask(0)
	s := open(t, dir)
	step := 0
	s.beforeStep = func(string) error {
		if step++; step == last {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
		return nil
	}
	ca := fakegateway.NewCA(t, "ca")
	key := startAgent(t, s, ca)
	fmt.Println("working")
	for turn := 0; ; turn++ {
		if turn%3 == 2 {
			if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SaveIdentity(newIdentity(t, ca, key)); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveTrust(ca.Bundle(t)); err != nil {
			t.Fatal(err)
		}
	}
}

// startAgent does the work of a starting agent. It resumes or begins the pairing, or returns the key of
// the existing identity.
func startAgent(t *testing.T, s *Store, ca *fakegateway.CA) *ecdsa.PrivateKey {
	t.Helper()
	if current, err := s.Identity(); err == nil {
		return current.Key
	}
	pending, err := s.Pending()
	if err != nil {
		t.Fatal(err)
	}
	if pending == nil {
		pending = &Pending{Key: fakegateway.NewKey(t), Tries: map[string]int{}}
	}
	pending.Request = &Request{Namespace: "fleet", Name: "r", Bundle: ca.Bundle(t)}
	if err := s.SavePending(pending); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishPairing(newIdentity(t, ca, pending.Key), ca.Bundle(t), Config{NodeEndpoint: "gw:7444"}); err != nil {
		t.Fatal(err)
	}
	return pending.Key
}

// TestAProcessKilledAtAnyStepStartsAgainWithAnIdentity kills a real process on real files with
// signal 9. It kills before each step of pairing, renewal and key rotation in turn, and at random
// moments. The process must always start again with its identity.
func TestAProcessKilledAtAnyStepStartsAgainWithAnIdentity(t *testing.T) {
	const steps = 45 // a pairing and the turns after it, which include every kind of step
	dir := t.TempDir() + "/id"
	paired := false
	for round := range killRounds() {
		if round%10 == 0 { // a new directory, so that pairings are killed too
			dir, paired = fmt.Sprintf("%s/id-%d", t.TempDir(), round), false
		}
		step := 0
		if round%3 != 2 {
			step = 1 + round*7%steps
		}
		runUntilKilled(t, dir, step)
		paired = checkSurvivor(t, dir, paired)
	}
}

// runUntilKilled runs the child. With step 0 it kills the child from outside, a moment after the
// child began to work.
func runUntilKilled(t *testing.T, dir string, step int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWhileItStores$")
	child.Env = append(os.Environ(), killDir+"="+dir, killStep+"="+strconv.Itoa(step))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	output := bufio.NewReader(out)
	line, _ := output.ReadString('\n')
	if step == 0 && strings.HasPrefix(line, "working") {
		wait := make([]byte, 1)
		_, _ = rand.Read(wait)
		<-time.After(time.Duration(wait[0]) * 20 * time.Microsecond)
		_ = child.Process.Kill()
	}
	rest, _ := io.ReadAll(output)
	err = child.Wait()
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("step %d: the process ended by itself: %v\n%s%s", step, err, line, rest)
	}
}

// checkSurvivor checks the files of a killed process and reports whether the machine is paired.
func checkSurvivor(t *testing.T, dir string, paired bool) bool {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatalf("the store does not open again: %v", err)
	}
	defer s.Close()
	entries, err := s.list()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 || strings.HasPrefix(entry.Name(), temporaryPrefix) {
			t.Errorf("%s with mode %04o is left", entry.Name(), info.Mode().Perm())
		}
	}
	current, err := s.Identity()
	if errors.Is(err, ErrNotPaired) && !paired {
		if pending, err := s.Pending(); err != nil {
			t.Fatalf("its pairing cannot be resumed: %+v, %v", pending, err)
		}
		return false
	}
	if err != nil {
		t.Fatalf("the identity is lost: %v", err)
	}
	if !current.Key.PublicKey.Equal(current.Leaf().PublicKey) {
		t.Fatal("key and certificate do not fit together")
	}
	bundle, trustErr := s.Trust()
	_, configErr := s.Config()
	if err := errors.Join(trustErr, configErr); err != nil || len(bundle.Certificates()) == 0 {
		t.Fatalf("the machine is paired, but trust or config is missing: %v", err)
	}
	if previous, err := s.PreviousIdentity(); err == nil && !previous.Key.PublicKey.Equal(previous.Leaf().PublicKey) {
		t.Error("the previous key and certificate do not fit together")
	}
	return true
}

// TestAPremadeTemporaryFileGetsNoKey plants a file or link under the name of the next temporary
// file. The store must not write to it.
func TestAPremadeTemporaryFileGetsNoKey(t *testing.T) {
	ca, key := fakegateway.NewCA(t, "ca"), fakegateway.NewKey(t)
	outside := t.TempDir() + "/outside"
	for name, plant := range map[string]func(path string) error{
		"a file others can read": func(path string) error { return os.WriteFile(path, nil, 0o644) }, //nolint:gosec // on purpose
		"a link to a file":       func(path string) error { return os.Symlink(outside, path) },
		"a link to nothing":      func(path string) error { return os.Symlink(outside+"-new", path) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(outside, nil, 0o644); err != nil { //nolint:gosec // on purpose
				t.Fatal(err)
			}
			s := open(t, t.TempDir()+"/id")
			before := newIdentity(t, ca, key)
			if err := s.SaveIdentity(before); err != nil {
				t.Fatal(err)
			}
			planted := ""
			s.beforeStep = func(step string) error {
				if file, ok := strings.CutPrefix(step, "create "); ok {
					planted = s.Dir() + "/" + file
					return plant(planted)
				}
				return nil
			}
			if err := s.SaveIdentity(newIdentity(t, ca, fakegateway.NewKey(t))); !errors.Is(err, os.ErrExist) {
				t.Errorf("got %v, want os.ErrExist", err)
			}
			for _, path := range []string{outside, outside + "-new", planted} {
				if content, _ := os.ReadFile(path); len(content) > 0 {
					t.Errorf("%s was written to", path)
				}
			}
			if got, err := s.Identity(); err != nil || !got.Leaf().Equal(before.Leaf()) {
				t.Errorf("the identity is gone: %v", err)
			}
		})
	}
}
