package nodeagent_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// TestKilledWhileRotatingTheMachineKeepsAWorkingIdentity kills an agent that only rotates its key,
// at random moments of request, storage and first use. After each kill its directory holds a
// complete identity that other users cannot read, and the gateway accepts the next start.
func TestKilledWhileRotatingTheMachineKeepsAWorkingIdentity(t *testing.T) {
	rounds := 10
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		rounds = 200
	}
	t.Setenv(childRotatesEnv, "1")
	g := fakegateway.Start(t)
	// The certificate is valid for a minute, and dated back so far that it is due for renewal at
	// once.
	g.Node.CertificateLifetime, g.DeviceCA.Backdate = time.Minute, time.Hour
	dir := filepath.Join(t.TempDir(), "id")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range rounds {
		agent := startAgentProcess(t, g, dir)
		g.Node.NextSession(t)
		drainSessions(g, time.After(time.Duration(random.IntN(300))*time.Millisecond))
		agent.kill()
		drainSessions(g, nil)
		checkStoredIdentity(t, dir)
	}
	startAgentProcess(t, g, dir)
	g.Node.NextSession(t)
	if g.Node.Rotations() == 0 {
		t.Error("no key was rotated")
	}
	t.Logf("%d kills, %d keys", rounds, g.Node.Rotations())
}

// drainSessions drains the sessions that are opened until done is closed; nil drains the pending
// ones only.
func drainSessions(g *fakegateway.Gateway, done <-chan time.Time) {
	if done == nil {
		now := make(chan time.Time)
		close(now)
		done = now
	}
	for {
		select {
		case <-g.Node.Sessions:
			continue
		default:
		}
		select {
		case <-g.Node.Sessions:
		case <-done:
			return
		}
	}
}

// checkStoredIdentity opens the directory as the next start does, which rejects loose file modes.
func checkStoredIdentity(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Identity(); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		want := os.FileMode(0o600)
		if file.IsDir() {
			want = 0o700
		}
		if info, err := file.Info(); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %04o", file.Name(), info.Mode(), err, want)
		}
	}
}
