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

// The session wakes at the next deadline of each entry.
func TestTheAlarmIsForTheNextThingThatTimeChanges(t *testing.T) {
	const never = 24 * time.Hour
	for name, tt := range map[string]struct {
		e     entry
		phase v1alpha1.DispatchPhase
		want  time.Duration
	}{
		"it expires":      {entry{}, v1alpha1.DispatchQueued, 60 * time.Second},
		"it is overdue":   {entry{offered: true}, v1alpha1.DispatchDispatched, (60 + 30 + 30) * time.Second},
		"it is busy":      {entry{offered: true, busy: true}, v1alpha1.DispatchDispatched, never},
		"it is settled":   {entry{offered: true, settled: true}, v1alpha1.DispatchDispatched, never},
		"it has a result": {entry{offered: true, result: succeededResult()}, v1alpha1.DispatchDispatched, never},
		"it has ended":    {entry{offered: true}, v1alpha1.DispatchFailed, never},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s := newBlockedSession(c)
			s.wakeAt = noon.Add(never)
			tt.e.d = newDispatch(s, c, tt.phase)
			if s.setAlarm(&tt.e); !s.wakeAt.Equal(noon.Add(tt.want)) {
				t.Errorf("the session wakes after %s, want %s", s.wakeAt.Sub(noon.Time), tt.want)
			}
		})
	}
}

func TestANewSpecOfTheNodeIsAppliedToWhatWaits(t *testing.T) {
	for name, generation := range map[string]int64{"the same spec": 1, "a new spec": 2} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, _, _ := newStoreSession(c)
			s.publishing, s.node.Generation = true, 1
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			s.entries[d.UID] = &entry{d: d}
			s.queue.add(s.entries[d.UID])
			node := s.node.DeepCopy()
			node.ResourceVersion, node.Generation, node.Spec.CapabilityPolicy.Allow = "2", generation, nil
			s.applyNode(t.Context(), node, false)
			if applied := s.unpublished && len(s.pending) == 1; applied != (generation == 2) {
				t.Errorf("facts to publish: %t, %d writes", s.unpublished, len(s.pending))
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
			s.publishing, s.node.ResourceVersion = true, "5"
			node := s.node.DeepCopy()
			tt.change(node)
			s.applyNode(t.Context(), node, tt.gone)
			if s.isStopped() != tt.stopped || (s.node == node) != tt.taken {
				t.Errorf("stopped %t, applied %t, want %t, %t", s.isStopped(), s.node == node, tt.stopped, tt.taken)
			}
		})
	}
}

// A result that arrived before the offer is settled, not offered again.
func TestAnEntryWithAResultIsSettled(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	d.ResourceVersion = "1"
	e := s.addStored(at, d, entry{result: succeededResult()})
	s.reevaluate(t.Context(), e)
	s.runPending(t.Context())
	if at.dispatch.Status.Phase != v1alpha1.DispatchSucceeded || s.queue.len() != 0 {
		t.Errorf("phase %s, %d wait", at.dispatch.Status.Phase, s.queue.len())
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

func TestTheEntriesOfASessionFollowTheJournal(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	s.journalRolledBack = true
	queued, accepted, running, ended := newDispatch(s, c, v1alpha1.DispatchQueued), newDispatch(s, c, v1alpha1.DispatchDispatched),
		newDispatch(s, c, v1alpha1.DispatchDispatched), newDispatch(s, c, v1alpha1.DispatchFailed)
	s.createEntries([]*v1alpha1.CapabilityDispatch{nil, queued, accepted, running, ended}, map[types.UID]*gatewayv1.UnsettledDispatch{
		accepted.UID: {State: gatewayv1.UnsettledDispatch_STATE_ACCEPTED}, running.UID: {State: gatewayv1.UnsettledDispatch_STATE_RUNNING},
	})
	if len(s.entries) != 3 || s.queue.len() != 1 || len(s.inFlight) != 2 || len(s.unverified) != 1 {
		t.Fatalf("%d entries, %d wait, %d in flight, %d in doubt", len(s.entries), s.queue.len(), len(s.inFlight), len(s.unverified))
	}
	if e := s.entries[queued.UID]; e.offered || e.accepted {
		t.Error("a dispatch that the machine does not know is offered")
	}
	for d, stage := range map[*v1alpha1.CapabilityDispatch]gatewayv1.Clearance_Stage{accepted: 0, running: stageStart} {
		if e := s.entries[d.UID]; !e.offered || !e.accepted || e.stage != stage {
			t.Errorf("offered %t, accepted %t, stage %s, want %s", e.offered, e.accepted, e.stage, stage)
		}
	}
}

// A dispatch that ended within a second after the stored creation time of the Node counts as an
// earlier machine's: creation times are truncated to seconds.
func TestADispatchThatEndedAsItsNodeWasMadeIsItsMachines(t *testing.T) {
	s := &session{key: pcKey, node: &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: noon}}}
	for after, want := range map[time.Duration]bool{-time.Second: false, time.Second - time.Microsecond: false, time.Second: true} {
		ended := metav1.NewMicroTime(noon.Add(after))
		d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: pcKey.Namespace},
			Spec: v1alpha1.CapabilityDispatchSpec{NodeName: pcKey.Name}, Status: v1alpha1.CapabilityDispatchStatus{CompletedTime: &ended}}
		if got := s.belongsToNode(d); got != want {
			t.Errorf("a dispatch that ended %s after its Node was made: %t, want %t", after, got, want)
		}
	}
}
