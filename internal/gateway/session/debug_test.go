package session

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/test/logtest"
)

// setLog replaces the log of the session and of its table.
func (s *session) setLog(log logr.Logger) { s.service.Log, s.service.tables.Log = log, log }

// serveDispatch offers a dispatch that must be claimed, and settles it with a result.
func serveDispatch(t *testing.T, log logr.Logger, input, output string) {
	t.Helper()
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	s.setLog(log)
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	d.Spec.Input = &v1alpha1.JSON{Raw: []byte(input)}
	d.Spec.MaxPayloadBytes = 1 << 16
	s.table.ClaimUntil(d.CreationTimestamp) // as if it were older than the session
	s.addWaiting(t.Context(), at, d)
	s.offer(t.Context())
	s.runPending(t.Context())
	for _, m := range []*gatewayv1.StreamNodeEventsRequest{
		{Message: &gatewayv1.StreamNodeEventsRequest_Accepted{Accepted: &gatewayv1.Accepted{Dispatch: dispatchtable.RefOf(d)}}},
		{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{Dispatch: dispatchtable.RefOf(d),
			Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED, Execution: gatewayv1.Result_EXECUTION_FINISHED, Output: []byte(output)}}},
	} {
		s.handleMessage(t.Context(), m)
		s.runPending(t.Context())
	}
	if !s.settledSent() || !strings.Contains(string(at.dispatch.Status.Output.Raw), output) {
		t.Fatalf("sent %v, status %+v: want the dispatch settled", s.sent(), at.dispatch.Status)
	}
}

func TestADispatchIsFollowedInTheLogAtDebugOnly(t *testing.T) {
	const input, output = `{"word":"secret-input"}`, `"secret-output"`
	log, lines := logtest.New(slog.LevelDebug)
	serveDispatch(t, log, input, output)
	want := []string{"dispatch admitted", "status written", "dispatch claimed", "dispatch offered", "dispatch accepted",
		"result received", "status written", "dispatch settled"}
	if strings.Contains(lines.String(), "secret") {
		t.Errorf("the log holds an input or an output:\n%s", lines)
	}
	for line := range strings.Lines(lines.String()) {
		for _, key := range []string{"namespace", "node", "dispatch", "uid"} {
			if !strings.Contains(line, `"`+key+`":"`) {
				t.Errorf("a line without %s: %s", key, line)
			}
		}
	}
	if got := logtest.Messages(t, lines); !slices.Equal(got, want) {
		t.Errorf("messages\n%q, want\n%q", got, want)
	}
	log, lines = logtest.New(slog.LevelInfo)
	serveDispatch(t, log, input, output)
	if lines.Len() != 0 {
		t.Errorf("lines at info:\n%s", lines)
	}
}

func TestADispatchThatIsRefusedIsLoggedWithItsCode(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	log, lines := logtest.New(slog.LevelDebug)
	s.setLog(log)
	s.facts.Declared = nil
	s.addWaiting(t.Context(), at, newDispatch(s, c, v1alpha1.DispatchQueued))
	s.offer(t.Context())
	s.runPending(t.Context())
	want := []string{"dispatch refused", "status written", "dispatch settled"}
	if got := logtest.Messages(t, lines); !slices.Equal(got, want) || !strings.Contains(lines.String(), `"code":"UnknownCapability"`) {
		t.Errorf("messages %q, want %q with the code:\n%s", got, want, lines)
	}
}

// Dispatches and sessions pass these calls all the time, and debug lines are rarely enabled.
func TestADebugLineCostsNothingWhileItIsDisabled(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, _, _ := newStoreSession(c)
	s.service.Log, _ = logtest.New(slog.LevelInfo)
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	d.Status.Error = &v1alpha1.DispatchError{Code: v1alpha1.ErrorExpired}
	hello := &gatewayv1.Hello{DialCounter: 12345, AgentVersion: "v1"}
	if allocated := testing.AllocsPerRun(100, func() {
		dispatchtable.Debug(s.service.Log, "status written", d, "step", "settle", "phase", string(d.Status.Phase), "code", dispatchtable.ErrorCode(&d.Status))
		s.debug("offers wait", "reason", s.id)
		s.debugHello(hello)
	}); allocated != 0 {
		t.Errorf("%v allocations of disabled debug lines, want none", allocated)
	}
}

// firstMessage is the stream of a machine that sends one message.
type firstMessage struct {
	silentConn
	message *gatewayv1.StreamNodeEventsRequest
}

func (c *firstMessage) Recv() (*gatewayv1.StreamNodeEventsRequest, error) {
	if c.message == nil {
		return nil, context.Canceled
	}
	m := c.message
	c.message = nil
	return m, nil
}

func TestTheStepsOfASessionAreFollowedInTheLogAtDebugOnly(t *testing.T) {
	hello := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{
		Hello: &gatewayv1.Hello{JournalId: "j", DialCounter: 7, ProtocolVersion: 1}}}
	for name, tt := range map[string]struct {
		first *gatewayv1.StreamNodeEventsRequest
		want  []string
	}{
		"a Hello without a registration": {hello, []string{"hello received", "session refused"}},
		"no Hello":                       {&gatewayv1.StreamNodeEventsRequest{}, []string{"hello refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			for level, want := range map[slog.Level][]string{slog.LevelDebug: tt.want, slog.LevelInfo: nil} {
				s, _, _ := newStoreSession(clocktesting.NewFakeClock(noon.Time))
				log, lines := logtest.New(level)
				s.setLog(log)
				ctx := peer.NewContext(t.Context(), s.caller)
				if _, err := s.service.startSession(ctx, ctx, &firstMessage{message: tt.first}); err == nil {
					t.Fatal("the session opened")
				}
				if got := logtest.Messages(t, lines); !slices.Equal(got, want) {
					t.Errorf("at %s: %q, want %q:\n%s", level, got, want, lines)
				}
			}
		})
	}
}
