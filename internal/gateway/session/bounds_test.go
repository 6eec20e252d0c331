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
	"github.com/mooring-dev/mooring/internal/dispatch"
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
	s.entries, s.inFlight = map[types.UID]*entry{}, map[types.UID]struct{}{}
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

func TestRecalledDispatchIsForgottenAfterAWhile(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	d := newDispatch(s, c, v1alpha1.DispatchTimedOut)
	e := &entry{d: d, offered: true, accepted: true, leftWatch: true}
	s.entries[d.UID] = e
	s.inFlight[d.UID] = struct{}{}
	s.tick(t.Context())
	if !e.cancelSent || len(s.inFlight) != 0 || s.entries[d.UID] == nil {
		t.Fatalf("cancelled %t, %d in flight, known %t: want it recalled and known", e.cancelSent, len(s.inFlight), s.entries[d.UID] != nil)
	}
	c.Step(settledTTL)
	s.tick(t.Context())
	if s.entries[d.UID] == nil {
		t.Error("the entry was deleted too early")
	}
	c.Step(time.Second)
	s.tick(t.Context())
	if s.entries[d.UID] != nil {
		t.Error("the entry is never deleted")
	}
	s.handleResult(t.Context(), &gatewayv1.Result{Dispatch: refOf(d), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED})
	if len(s.pending) != 1 {
		t.Errorf("the late result starts %d reads, want 1", len(s.pending))
	}
}

func TestWhatIsFirstSeenClaimedIsLookedAtBeforeItIsOffered(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	s.draining = true // No dispatch leaves the queue.
	claimed, fresh := newDispatch(s, c, v1alpha1.DispatchDispatched), newDispatch(s, c, v1alpha1.DispatchQueued)
	s.node.Spec.CapabilityPolicy.Allow = []string{"echo"}
	s.facts.Declared = []v1alpha1.NodeCapability{{Name: "echo", Available: true}}
	s.applyEvents(t.Context(), informerEvents{dispatches: map[types.UID]*v1alpha1.CapabilityDispatch{claimed.UID: claimed, fresh.UID: fresh}})
	if len(s.pending) != 1 || !s.entries[claimed.UID].busy {
		t.Errorf("%d reads are started, want 1 of the claimed dispatch", len(s.pending))
	}
	if s.queue.len() != 1 || s.queue.waiting[0].d.UID != fresh.UID {
		t.Errorf("%d wait for their offer, want only the queued one", s.queue.len())
	}
}

func TestResultsOfUnknownDispatchesHaveABudget(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	report := func(n int) {
		for i := range n {
			s.handleResult(t.Context(), &gatewayv1.Result{Dispatch: &gatewayv1.DispatchRef{Namespace: s.key.Namespace, Name: "d", Uid: fmt.Sprint(i)}})
		}
	}
	report(10 * unknownResultsBurst)
	if len(s.pending) != unknownResultsBurst {
		t.Errorf("%d reads are started at once, want %d", len(s.pending), unknownResultsBurst)
	}
	known := newDispatch(s, c, v1alpha1.DispatchQueued)
	s.entries[known.UID] = &entry{d: known, offered: true}
	s.handleResult(t.Context(), &gatewayv1.Result{Dispatch: refOf(known), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED})
	if !s.entries[known.UID].busy {
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
	s.publishing = true // No write.
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

func TestAcceptanceIsNotedOnceForEachWayADispatchIsOffered(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	for _, phase := range []v1alpha1.DispatchPhase{v1alpha1.DispatchQueued, v1alpha1.DispatchDispatched} {
		s := newBlockedSession(c)
		d := newDispatch(s, c, phase)
		e := &entry{d: d, offered: true, offeredAt: c.Now(), accepted: true, acceptedAt: c.Now()}
		s.entries[d.UID] = e
		next, ok := s.nextStep(e)
		if !ok || next.name != "dispatched" || !e.acceptanceUnrecorded() {
			t.Fatalf("the next step of a %s dispatch is %q, %t, want its acceptance recorded", phase, next.name, ok)
		}
		e.d.Status = next.decide(e.d.Status, c.Now())
		if _, again := s.nextStep(e); again || !dispatch.Accepted(e.d.Status) || e.acceptanceUnrecorded() {
			t.Errorf("the acceptance of a %s dispatch is not recorded exactly once: %+v", phase, e.d.Status)
		}
	}
}
