package session

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestASessionLastsUntilOneOfItsEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*session)
		lasts   time.Duration
		held    int // number of sessions on the gateway; without sessions the watch has no lag
		reason  string
	}{
		"silence":                    {func(s *session) { s.lastMessageAt = noon.Time }, 0, 0, v1alpha1.ReasonSessionLost},
		"its age":                    {func(s *session) { s.maxAgeAt = noon.Add(time.Minute - 1) }, time.Minute - 1, 0, v1alpha1.ReasonSessionEnded},
		"a watch that shows nothing": {func(s *session) { s.lastMessageAt = noon.Add(time.Hour) }, 0, 1, v1alpha1.ReasonSessionEnded},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s := newBlockedSession(c)
			s.service.registry.sessions = tt.held
			lasts := tt.lasts
			switch {
			case tt.held > 0:
				lasts = staleFactor*s.service.StaleAfter + 1
			case lasts == 0:
				lasts = missedHeartbeats * s.service.HeartbeatInterval
			}
			tt.prepare(s)
			c.SetTime(noon.Add(lasts - 1))
			if s.stopIfExpired(c.Now()); s.isStopped() {
				t.Fatalf("the session ends too early, for %s", s.ending.reason)
			}
			c.Step(1)
			if s.stopIfExpired(c.Now()); !s.isStopped() || s.ending.reason != tt.reason {
				t.Errorf("stopped %t for %q, want %q", s.isStopped(), s.ending.reason, tt.reason)
			}
		})
	}
}

func TestANewSpecOfTheNodeIsAppliedToWhatWaits(t *testing.T) {
	for name, generation := range map[string]int64{"the same spec": 1, "a new spec": 2} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			s.blockPublisher()
			s.node.Generation = 1
			s.addWaiting(t.Context(), at, newDispatch(s, c, v1alpha1.DispatchQueued))
			node := s.node.DeepCopy()
			node.ResourceVersion, node.Generation, node.Spec.CapabilityPolicy.Allow = "2", generation, nil
			s.applyNode(t.Context(), node, false)
			if applied := s.publisher.Pending() && len(s.pending) == 1; applied != (generation == 2) {
				t.Errorf("facts to publish: %t, %d writes", s.publisher.Pending(), len(s.pending))
			}
		})
	}
}

func TestTheNodeThatCountsIsTheNewestOfItsUID(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*v1alpha1.Node)
		gone    bool
		stopped bool
		taken   bool
	}{
		"a newer state":                    {func(n *v1alpha1.Node) { n.ResourceVersion = "6" }, false, false, true},
		"the same state":                   {func(*v1alpha1.Node) {}, false, false, true},
		"an older state":                   {func(n *v1alpha1.Node) { n.ResourceVersion = "4" }, false, false, false},
		"its deletion":                     {func(*v1alpha1.Node) {}, true, true, false},
		"its deletion in a newer state":    {func(n *v1alpha1.Node) { n.ResourceVersion = "6" }, true, true, false},
		"the deletion of one of that name": {func(n *v1alpha1.Node) { n.UID = "namesake" }, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newStoreSession(clocktesting.NewFakeClock(noon.Time))
			s.blockPublisher()
			s.node.ResourceVersion = "5"
			node := s.node.DeepCopy()
			tt.change(node)
			s.applyNode(t.Context(), node, tt.gone)
			if s.isStopped() != tt.stopped || (s.node == node) != tt.taken {
				t.Errorf("stopped %t, applied %t, want %t, %t", s.isStopped(), s.node == node, tt.stopped, tt.taken)
			}
		})
	}
}

func TestADispatchWithoutRoomForAStatusIsHeldByTheMachine(t *testing.T) {
	list := []*v1alpha1.CapabilityDispatch{{ObjectMeta: metav1.ObjectMeta{UID: "room"}}, {ObjectMeta: metav1.ObjectMeta{UID: "none"}}, {ObjectMeta: metav1.ObjectMeta{UID: "journaled"}}}
	known := &gatewayv1.UnsettledDispatch{State: gatewayv1.UnsettledDispatch_STATE_ACCEPTED}
	got := withUnwritable(map[types.UID]*gatewayv1.UnsettledDispatch{"journaled": known}, list, []bool{false, true, true})
	if len(got) != 2 || got["none"].GetState() != gatewayv1.UnsettledDispatch_STATE_RUNNING || got["journaled"] != known {
		t.Errorf("the machine holds %v", got)
	}
}

// Only a dispatch that the journal does not hold is offered. The end of a dispatch that was in an
// old copy of the journal is sent to the machine.
func TestTheEntriesOfASessionFollowTheJournal(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	for name, rolledBack := range map[string]bool{"the newest journal": false, "an old copy": true} {
		t.Run(name, func(t *testing.T) {
			s, _, _ := newStoreSession(c)
			s.journalRolledBack, s.node.Spec.MaxInFlight = rolledBack, 9
			queued, accepted, running, ended := newDispatch(s, c, v1alpha1.DispatchQueued), newDispatch(s, c, v1alpha1.DispatchDispatched),
				newDispatch(s, c, v1alpha1.DispatchDispatched), newDispatch(s, c, v1alpha1.DispatchFailed)
			s.loadTable(t.Context(), []*v1alpha1.CapabilityDispatch{nil, queued, accepted, running, ended}, map[types.UID]*gatewayv1.UnsettledDispatch{
				accepted.UID: {State: gatewayv1.UnsettledDispatch_STATE_ACCEPTED}, running.UID: {State: gatewayv1.UnsettledDispatch_STATE_RUNNING},
			})
			for _, d := range []*v1alpha1.CapabilityDispatch{queued, accepted, running} {
				if !s.table.Has(d.UID) {
					t.Errorf("the session does not know a dispatch in phase %s", d.Status.Phase)
				}
			}
			if s.table.Has(ended.UID) || len(s.unverified) == 1 != rolledBack {
				t.Errorf("a finished dispatch is known: %t, %d in doubt", s.table.Has(ended.UID), len(s.unverified))
			}
			s.offer(t.Context())
			if s.offersSent() != 1 || s.sent()[0].GetOffer().GetDispatch().GetUid() != string(queued.UID) {
				t.Errorf("sent %v, want an offer of the queued dispatch", s.sent())
			}
		})
	}
}
