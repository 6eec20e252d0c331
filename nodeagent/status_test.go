//go:build unix

package nodeagent_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/local"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/test/eventually"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// awaitReport requests the agent's status until done accepts it.
func awaitReport(t *testing.T, run string, done func(status.Report, error) bool) (status.Report, error) {
	t.Helper()
	var report status.Report
	var err error
	eventually.True(t, "the agent reports the expected status", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		report, err = status.FetchReport(ctx, run)
		return done(report, err)
	}, &report, &err)
	return report, err
}

func TestTheStatusOfAnAgentIsThatOfALivingProcess(t *testing.T) {
	g := fakegateway.Start(t)
	dir := filepath.Join(t.TempDir(), "id")
	run := store.RunPath(dir)
	connected := func(r status.Report, err error) bool { return err == nil && r.Phase == status.Connected }
	agent := startAgentProcess(t, g, dir)
	first := g.Node.NextSession(t)
	report, _ := awaitReport(t, run, connected)
	if report.PID != agent.cmd.Process.Pid || report.Gateway != g.NodeEndpoint || report.Session != "s" || report.Transport != "stream" ||
		report.ClockSkewSeconds == nil || report.ConnectedSince.IsZero() || report.LastError != "" {
		t.Errorf("connected: %+v", report)
	}
	granted := map[string]bool{}
	for _, c := range report.Capabilities {
		granted[c.Name] = c.Granted
	}
	if !granted["echo"] || !granted["test.append"] {
		t.Errorf("capabilities: %+v", report.Capabilities)
	}

	g.Node.Register = func() error { return grpcstatus.Error(codes.PermissionDenied, "this Node was revoked") }
	first.End(grpcstatus.Error(codes.Unavailable, "the gateway goes away"))
	report, _ = awaitReport(t, run, func(r status.Report, err error) bool {
		return err == nil && r.Phase == status.Connecting && strings.Contains(r.LastError, "this Node was revoked")
	})
	if report.Session != "" || !report.ConnectedSince.IsZero() || report.NextAttempt.IsZero() || report.LastErrorTime.IsZero() {
		t.Errorf("refused: %+v", report)
	}

	// A stopped agent has a socket and does not answer.
	if err := agent.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The signal is only a request: a thread runs on until it handles the signal.
	var state syscall.WaitStatus
	if _, err := syscall.Wait4(agent.cmd.Process.Pid, &state, syscall.WUNTRACED, nil); err != nil || !state.Stopped() {
		t.Fatalf("the agent is not stopped: %v, %v", state, err)
	}
	shortCtx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if report, err := status.FetchReport(shortCtx, run); !errors.Is(err, status.ErrNotResponding) {
		t.Errorf("stopped: %+v, %v", report, err)
	}
	agent.kill()
}

func TestAKilledAgentIsNotConnected(t *testing.T) {
	g := fakegateway.Start(t)
	dir := filepath.Join(t.TempDir(), "id")
	agent := startAgentProcess(t, g, dir)
	g.Node.NextSession(t)
	awaitReport(t, store.RunPath(dir), func(r status.Report, err error) bool { return err == nil && r.Phase == status.Connected })
	agent.kill()
	if report, err := status.FetchReport(t.Context(), store.RunPath(dir)); !errors.Is(err, local.ErrNoAgent) {
		t.Errorf("killed: %+v, %v", report, err)
	}
	// The socket of the killed agent does not block the next start.
	startAgentProcess(t, g, dir)
	g.Node.NextSession(t)
}
