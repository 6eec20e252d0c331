package session_test

import (
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

func startPolling(t *testing.T, g *fakegateway.Gateway) *agent {
	t.Helper()
	a := &agent{transport: transport.Poll}
	a.start(t, g, time.Hour)
	return a
}

func TestADispatchGoesFromOfferToSettledOverPolls(t *testing.T) {
	g := fakegateway.Start(t)
	a := startPolling(t, g)
	s := g.Node.NextSession(t)
	if !s.Polled {
		t.Fatal("the agent opened a stream, want polls")
	}
	s.Send(t, offer("u", "echo"))
	fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Accepted { return m.GetAccepted() })
	if r := awaitResult(t, s, "u"); string(r.GetOutput()) != `{"hello":"world"}` {
		t.Errorf("result: %v", r)
	}
	s.Send(t, settled("u"))
	fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Heartbeat { return m.GetHeartbeat() })
	if open, err := a.journal.Unsettled(); err != nil || len(open) != 0 {
		t.Errorf("after Settled: %v, %v", open, err)
	}
}

func TestAResultOutlivesItsPolledSession(t *testing.T) {
	g := fakegateway.Start(t)
	a := startPolling(t, g)
	first := g.Node.NextSession(t)
	first.Send(t, offer("u", "gate"))
	<-a.gate.started
	first.End(status.Error(codes.FailedPrecondition, "unknown session id; say Hello again"))
	second := g.Node.NextSession(t)
	if got := second.Hello.GetUnsettled(); len(got) != 1 || got[0].GetState() != gatewayv1.UnsettledDispatch_STATE_RUNNING {
		t.Errorf("hello of the second session: %v", got)
	}
	close(a.gate.opened)
	if r := awaitResult(t, second, "u"); string(r.GetOutput()) != `"through"` {
		t.Errorf("result: %v", r)
	}
}

func TestAStoppingAgentSaysGoodbyeOverPolls(t *testing.T) {
	g := fakegateway.Start(t)
	a := startPolling(t, g)
	s := g.Node.NextSession(t)
	s.Send(t, offer("u", "gate"))
	<-a.gate.started
	a.stop()
	if r := awaitResult(t, s, "u"); r.GetErrorCode() != "AgentRestarted" {
		t.Errorf("result: %v", r)
	}
	fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Stopping { return m.GetStopping() })
}

func TestStreamsThatBreakGiveWayToPolls(t *testing.T) {
	g := fakegateway.Start(t)
	var streams atomic.Int32
	g.Node.BreakStream = func() error {
		streams.Add(1)
		return status.Error(codes.Unavailable, "connection reset by a middlebox")
	}
	a := &agent{transport: transport.Auto}
	a.start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	if !s.Polled || streams.Load() != 3 {
		t.Errorf("polled %t after %d streams", s.Polled, streams.Load())
	}
	s.Send(t, offer("u", "echo"))
	if r := awaitResult(t, s, "u"); r.GetOutcome() != gatewayv1.Result_OUTCOME_SUCCEEDED {
		t.Errorf("result: %v", r)
	}
}

func TestAChangeOfCapabilitiesIsAnnounced(t *testing.T) {
	g := fakegateway.Start(t)
	a := start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	a.screen.await(t, "Session open")
	for count, own := range map[int][]capability.Capability{3: {renamedEcho{}}} {
		if err := a.registry.SetOwn(own...); err != nil {
			t.Fatal(err)
		}
		changed := fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.CapabilitiesChanged {
			return m.GetCapabilitiesChanged()
		})
		if got := changed.GetCapabilities(); len(got) != count || got[2].GetName() != "own.echo" || got[2].GetAvailable() || got[2].GetReason() != "not today" {
			t.Errorf("announced %v", got)
		}
	}
}

type renamedEcho struct{ capability.Echo }

func (renamedEcho) Name() string        { return "own.echo" }
func (renamedEcho) Unavailable() string { return "not today" }
