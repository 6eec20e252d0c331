package status

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mooring-dev/mooring/nodeagent/local"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTracker(t *testing.T, now *time.Time) *Tracker {
	t.Helper()
	r, err := capability.NewRegistry(capability.Echo{})
	if err != nil {
		t.Fatal(err)
	}
	return NewTracker(func() time.Time { return *now }, Report{PID: 7}, r)
}

// TestTheBoardFollowsTheSessions verifies that an agent is Connected from the opening of a session
// to its end, and never after it stops.
func TestTheBoardFollowsTheSessions(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newTracker(t, &now)
	expect := func(phase Phase, session, problem string) {
		t.Helper()
		r := b.Report()
		if r.Phase != phase || r.Session != session || r.LastError != problem || (session == "") != r.ConnectedSince.IsZero() {
			t.Errorf("%+v, want %s, session %q, error %q", r, phase, session, problem)
		}
	}
	expect(Starting, "", "")
	b.MachinePaired("gw:1")
	expect(Connecting, "", "")
	b.SessionClosed("refused", "NODE_REVOKED", 5*time.Second)
	expect(Connecting, "", "refused")
	if r := b.Report(); !r.NextAttempt.Equal(now.Add(5*time.Second)) || !r.LastErrorTime.Equal(now) || r.LastErrorReason != "NODE_REVOKED" {
		t.Errorf("%+v", r)
	}
	b.SessionOpened("s", "stream", -1500*time.Millisecond)
	expect(Connected, "s", "")
	if r := b.Report(); *r.ClockSkewSeconds != -1.5 || !r.NextAttempt.IsZero() || r.LastErrorReason != "" || r.Capabilities[0].Granted {
		t.Errorf("%+v", r)
	}
	b.CapabilitiesGranted([]string{"echo"})
	if !b.Report().Capabilities[0].Granted {
		t.Error("echo is granted, but the report does not show it")
	}
	b.SessionClosed("", "", time.Second)
	expect(Connecting, "", "")
	b.AgentStopping()
	b.SessionOpened("late", "stream", 0)
	if r := b.Report(); r.Phase != Stopping {
		t.Errorf("the phase of a stopping agent is %s", r.Phase)
	}
}

// TestTheTrackerFollowsAPairing verifies the phase and the pairing request from the start of an
// agent to its pairing, and that a stopping agent stays so.
func TestTheTrackerFollowsAPairing(t *testing.T) {
	now := time.Now()
	b := newTracker(t, &now)
	expect := func(phase Phase, request, message string) {
		t.Helper()
		if r := b.Report(); r.Phase != phase || r.PairingRequest != request || r.PairingMessage != message {
			t.Errorf("%+v, want %s, request %q, message %q", r, phase, request, message)
		}
	}
	expect(Starting, "", "")
	b.PairingUpdated("", "")
	expect(Pairing, "", "")
	b.PairingUpdated("fleet/request", "")
	expect(Pairing, "fleet/request", "")
	b.PairingUpdated("fleet/request", "ask ada")
	expect(Pairing, "fleet/request", "ask ada")
	b.MachinePaired("gw:1")
	expect(Connecting, "", "")
	b.AgentStopping()
	b.PairingUpdated("fleet/request", "")
	expect(Stopping, "fleet/request", "")
	b.MachinePaired("gw:1")
	expect(Stopping, "", "")
}

func TestTheSocketTellsWhatTheLivingAgentKnows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if _, err := FetchReport(t.Context(), dir); !errors.Is(err, local.ErrNoAgent) {
		t.Errorf("FetchReport before an agent runs: %v", err)
	}
	now := time.Now()
	server, err := Listen(dir, newTracker(t, &now), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	// The server listens and does not answer yet, like a stopped (SIGSTOP) agent.
	asking, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := FetchReport(asking, dir); !errors.Is(err, ErrNotResponding) {
		t.Errorf("FetchReport of a silent agent: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(ctx) }()
	if r, err := FetchReport(t.Context(), dir); err != nil || r.PID != 7 || r.Phase != Starting {
		t.Errorf("%+v, %v", r, err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, SocketPath(dir): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	stop()
	<-served
	if _, err := FetchReport(t.Context(), dir); !errors.Is(err, local.ErrNoAgent) {
		t.Errorf("FetchReport after the agent: %v", err)
	}
}
