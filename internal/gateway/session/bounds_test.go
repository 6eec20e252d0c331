package session

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// apiTime is the API server's time, which equals the test clock.
type apiTime struct{ clock.PassiveClock }

func (t apiTime) Latest() time.Time { return t.Now() }

// silentConn is the stream of a machine that sends no message.
type silentConn struct{}

func (silentConn) Send(*gatewayv1.StreamNodeEventsResponse) error { return nil }
func (silentConn) Recv() (*gatewayv1.StreamNodeEventsRequest, error) {
	return nil, context.Canceled
}

// newBlockedSession returns a session whose actor is the test. All its workers are busy, so its
// reads and writes wait in pending.
func newBlockedSession(c *clocktesting.FakeClock) *session {
	service := New(Options{Clock: c, Time: apiTime{c}, Log: logr.Discard(), Gateway: "gw"})
	s := service.newSession(peer.Identity{ID: identity.ID{Namespace: pcKey.Namespace, Node: pcKey.Name}}, silentConn{})
	s.running = maxWorkers
	s.node = &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: pcKey.Namespace, Name: pcKey.Name}}
	s.table = s.newTable()
	s.lastMessageAt, s.maxAgeAt = c.Now(), c.Now().Add(time.Hour*1000)
	return s
}

func newDispatch(s *session, c clock.PassiveClock, phase v1alpha1.DispatchPhase) *v1alpha1.CapabilityDispatch {
	uid := uuid.NewString()
	return &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: uid, UID: types.UID(uid), ResourceVersion: "5", CreationTimestamp: metav1.NewTime(c.Now())},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: s.key.Name, Capability: "echo", ExpirySeconds: 60, TimeoutSeconds: 30},
		Status:     v1alpha1.CapabilityDispatchStatus{Phase: phase},
	}
}

func TestResultsOfUnknownDispatchesHaveABudget(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	report := func(n int) {
		for i := range n {
			s.handleMessage(t.Context(), &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{
				Result: &gatewayv1.Result{Dispatch: &gatewayv1.DispatchRef{Namespace: s.key.Namespace, Name: "d", Uid: fmt.Sprint(i)}}}})
		}
	}
	report(10 * unknownResultsBurst)
	if len(s.pending) != unknownResultsBurst {
		t.Errorf("%d reads are started at once, want %d", len(s.pending), unknownResultsBurst)
	}
	if throttled := sumCounters(t, s.service.metrics.throttled); throttled != 9*unknownResultsBurst {
		t.Errorf("%d results are counted as throttled, want %d", throttled, 9*unknownResultsBurst)
	}
	known := newDispatch(s, c, v1alpha1.DispatchQueued)
	s.addAccepted(t.Context(), &store{}, known)
	s.handleMessage(t.Context(), succeededResult(known))
	if len(s.pending) != unknownResultsBurst+1 {
		t.Error("the result of a known dispatch was dropped")
	}
	s.pending = nil
	c.Step(2 * time.Second)
	report(10 * unknownResultsBurst)
	if len(s.pending) != 2*unknownResultsPerSecond {
		t.Errorf("%d reads are started after two seconds, want %d", len(s.pending), 2*unknownResultsPerSecond)
	}
}

func TestOfManyChangesOfCapabilitiesTheNewestCounts(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	s.blockPublisher()
	applied := 0
	for i := range 1000 {
		before := len(s.facts.Declared)
		var list []*gatewayv1.Capability
		for j := range i%capabilityname.MaxDeclared + 1 {
			list = append(list, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", j)})
		}
		s.handleCapabilitiesChanged(t.Context(), &gatewayv1.CapabilitiesChanged{Capabilities: list})
		if len(s.facts.Declared) != before {
			applied++
		}
	}
	if applied != capabilityChangesBurst {
		t.Errorf("%d changes were applied at once, want %d", applied, capabilityChangesBurst)
	}
	c.Step(time.Second)
	s.tick(t.Context())
	if got, want := len(s.facts.Declared), 999%capabilityname.MaxDeclared+1; got != want || s.pendingCapabilities != nil {
		t.Errorf("%d capabilities are declared, want the %d of the newest change", got, want)
	}
}
