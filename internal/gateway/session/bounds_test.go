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
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// apiTime is the API server's time, which equals the test clock.
type apiTime struct{ clock.PassiveClock }

func (t apiTime) Latest() time.Time { return t.Now() }

// silent is the stream of a machine that sends no message.
type silent struct{}

func (silent) Send(*gatewayv1.StreamNodeEventsResponse) error { return nil }
func (silent) Recv() (*gatewayv1.StreamNodeEventsRequest, error) {
	return nil, context.Canceled
}

// heldAt returns a session whose actor is the test. All its workers are busy, so its reads and
// writes wait in pending.
func heldAt(c *clocktesting.FakeClock) *session {
	service := New(Options{Clock: c, Time: apiTime{c}, Log: logr.Discard(), Gateway: "gw"})
	s := service.newSession(peer.Identity{ID: identity.ID{Namespace: pc.Namespace, Node: pc.Name}}, silent{})
	s.running = maxWorkers
	s.node = &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: pc.Namespace, Name: pc.Name}}
	s.entries, s.flight = map[types.UID]*entry{}, map[types.UID]struct{}{}
	s.lastHeard, s.oldAt = c.Now(), c.Now().Add(time.Hour*1000)
	return s
}

func dispatchOf(s *session, c clock.PassiveClock, phase v1alpha1.DispatchPhase) *v1alpha1.CapabilityDispatch {
	uid := uuid.NewString()
	return &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: uid, UID: types.UID(uid), ResourceVersion: "5", CreationTimestamp: metav1.NewTime(c.Now())},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: s.key.Name, Capability: "echo", ExpirySeconds: 60, TimeoutSeconds: 30},
		Status:     v1alpha1.CapabilityDispatchStatus{Phase: phase},
	}
}

func TestRecalledDispatchIsForgottenAfterAWhile(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := heldAt(c)
	d := dispatchOf(s, c, v1alpha1.DispatchTimedOut)
	e := &entry{d: d, offered: true, accepted: true, left: true}
	s.entries[d.UID] = e
	s.flight[d.UID] = struct{}{}
	s.tick(t.Context())
	if !e.cancelSent || len(s.flight) != 0 || s.entries[d.UID] == nil {
		t.Fatalf("cancelled %t, %d in flight, known %t: want it recalled and known", e.cancelSent, len(s.flight), s.entries[d.UID] != nil)
	}
	c.Step(settledMemory)
	s.tick(t.Context())
	if s.entries[d.UID] == nil {
		t.Error("the entry was deleted too early")
	}
	c.Step(time.Second)
	s.tick(t.Context())
	if s.entries[d.UID] != nil {
		t.Error("the entry is never deleted")
	}
	s.hearResult(t.Context(), &gatewayv1.Result{Dispatch: refOf(d), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED})
	if len(s.pending) != 1 {
		t.Errorf("the late result starts %d reads, want 1", len(s.pending))
	}
}

func TestWhatIsFirstSeenClaimedIsLookedAtBeforeItIsOffered(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := heldAt(c)
	s.draining = true // No dispatch leaves the queue.
	claimed, fresh := dispatchOf(s, c, v1alpha1.DispatchDispatched), dispatchOf(s, c, v1alpha1.DispatchQueued)
	s.node.Spec.CapabilityPolicy.Allow = []string{"echo"}
	s.facts.declared = []v1alpha1.NodeCapability{{Name: "echo", Available: true}}
	s.learn(t.Context(), news{dispatches: map[types.UID]*v1alpha1.CapabilityDispatch{claimed.UID: claimed, fresh.UID: fresh}})
	if len(s.pending) != 1 || !s.entries[claimed.UID].busy {
		t.Errorf("%d reads are started, want 1 of the claimed dispatch", len(s.pending))
	}
	if s.queue.len() != 1 || s.queue.waiting[0].d.UID != fresh.UID {
		t.Errorf("%d wait for their offer, want only the queued one", s.queue.len())
	}
}

func TestResultsOfUnknownDispatchesHaveABudget(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := heldAt(c)
	hear := func(n int) {
		for i := range n {
			s.hearResult(t.Context(), &gatewayv1.Result{Dispatch: &gatewayv1.DispatchRef{Namespace: s.key.Namespace, Name: "d", Uid: fmt.Sprint(i)}})
		}
	}
	hear(10 * straysBurst)
	if len(s.pending) != straysBurst {
		t.Errorf("%d reads are started at once, want %d", len(s.pending), straysBurst)
	}
	known := dispatchOf(s, c, v1alpha1.DispatchQueued)
	s.entries[known.UID] = &entry{d: known, offered: true}
	s.hearResult(t.Context(), &gatewayv1.Result{Dispatch: refOf(known), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED})
	if !s.entries[known.UID].busy {
		t.Error("the result of a known dispatch was dropped")
	}
	s.pending = nil
	c.Step(2 * time.Second)
	hear(10 * straysBurst)
	if len(s.pending) != 2*straysPerSecond {
		t.Errorf("%d reads are started after two seconds, want %d", len(s.pending), 2*straysPerSecond)
	}
}

func TestOfManyChangesOfCapabilitiesTheNewestCounts(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := heldAt(c)
	s.publishing = true // No write.
	taken := 0
	for i := range 1000 {
		before := len(s.facts.declared)
		var list []*gatewayv1.Capability
		for j := range i%maxCapabilities + 1 {
			list = append(list, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", j)})
		}
		s.capabilitiesChanged(t.Context(), &gatewayv1.CapabilitiesChanged{Capabilities: list})
		if len(s.facts.declared) != before {
			taken++
		}
	}
	if taken != changesBurst {
		t.Errorf("%d changes were applied at once, want %d", taken, changesBurst)
	}
	c.Step(time.Second)
	s.tick(t.Context())
	if got, want := len(s.facts.declared), 999%maxCapabilities+1; got != want || s.changed != nil {
		t.Errorf("%d capabilities are declared, want the %d of the newest change", got, want)
	}
}

func TestAcceptanceIsNotedOnceForEachWayADispatchIsOffered(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	for _, phase := range []v1alpha1.DispatchPhase{v1alpha1.DispatchQueued, v1alpha1.DispatchDispatched} {
		s := heldAt(c)
		d := dispatchOf(s, c, phase)
		e := &entry{d: d, offered: true, offeredAt: c.Now(), accepted: true, acceptedAt: c.Now()}
		s.entries[d.UID] = e
		next, ok := s.nextStep(e)
		if !ok || next.name != "dispatched" || !e.unnoted() {
			t.Fatalf("the next step of a %s dispatch is %q, %t, want its acceptance recorded", phase, next.name, ok)
		}
		e.d.Status = next.decide(e.d.Status, c.Now())
		if _, again := s.nextStep(e); again || !dispatch.Accepted(e.d.Status) || e.unnoted() {
			t.Errorf("the acceptance of a %s dispatch is not recorded exactly once: %+v", phase, e.d.Status)
		}
	}
}
