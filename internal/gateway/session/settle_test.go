package session

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

func TestAFailedPublicationIsRepeatedUnlessTheNodeOrTheSessionEnds(t *testing.T) {
	notFound := apierrors.NewNotFound(v1alpha1.Resource("nodes"), "pc")
	for name, tt := range map[string]struct {
		err             error
		conflict, ended bool
		repeated        bool
	}{
		"written":                              {nil, false, false, false},
		"refused":                              {errTest, false, false, true},
		"the Node is deleted":                  {notFound, false, false, false},
		"the session ends":                     {errTest, false, true, false},
		"the read after a conflict fails":      {errTest, true, false, true},
		"the Node is deleted after a conflict": {notFound, true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, _, _ := newStoreSession(c)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.ended {
				cancel()
			}
			s.blockPublisher()
			stored := s.node.DeepCopy()
			stored.ResourceVersion = "2"
			switch {
			case tt.conflict:
				s.handlePublishConflict(ctx, nil, tt.err)
			case tt.err != nil:
				s.handlePublished(ctx, nil, tt.err)
			default:
				s.handlePublished(ctx, stored, nil)
			}
			if pending := s.publisher.Pending(); pending != tt.repeated || !s.publisherFree() || (s.node == stored) != (tt.err == nil) {
				t.Errorf("pending: %t, the response is applied: %t", pending, s.node == stored)
			}
		})
	}
}

// After a conflict the session reads the live Node, which records another session here.
func TestAConflictShowsWhoseSessionItIs(t *testing.T) {
	s, _, _ := newStoreSession(clocktesting.NewFakeClock(noon.Time))
	live := s.node.DeepCopy()
	live.ResourceVersion, live.Status.SessionID = "2", "newer"
	s.handlePublishConflict(t.Context(), live, nil)
	if !s.isStopped() || s.ending.reason != v1alpha1.ReasonSessionReplaced {
		t.Errorf("stopped %t for %q", s.isStopped(), s.ending.reason)
	}
}

func TestASessionHasSoManyWorkersAndLosesNoJob(t *testing.T) {
	s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
	s.running = 0
	const jobs = 3 * maxWorkers
	release := make(chan struct{})
	var atOnce, done atomic.Int32
	var tooMany atomic.Bool
	for range jobs {
		s.runInWorker(t.Context(), func(context.Context) func(context.Context) {
			if atOnce.Add(1) > maxWorkers {
				tooMany.Store(true)
			}
			<-release
			atOnce.Add(-1)
			return func(context.Context) { done.Add(1) }
		})
	}
	if s.running != maxWorkers || len(s.pending) != jobs-maxWorkers {
		t.Errorf("%d jobs run, %d wait", s.running, len(s.pending))
	}
	close(release)
	for range jobs {
		s.handleWorkerDone(t.Context(), <-s.done)
	}
	if done.Load() != jobs || tooMany.Load() || s.running != 0 || len(s.pending) != 0 {
		t.Errorf("%d jobs are done, more than maxWorkers at once: %t, %d run, %d wait", done.Load(), tooMany.Load(), s.running, len(s.pending))
	}
}

func TestTheSessionLooksAgainWithinADay(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{-time.Hour: time.Millisecond, 0: time.Millisecond, time.Minute: time.Minute, 48 * time.Hour: 24 * time.Hour} {
		s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
		s.wakeAt = noon.Add(1000 * time.Hour)
		if s.wakeIn(in); !s.wakeAt.Equal(noon.Add(want)) {
			t.Errorf("wakeIn(%s): after %s, want %s", in, s.wakeAt.Sub(noon.Time), want)
		}
	}
}

func TestALeaseCountsForExactlyItsDuration(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, _, gate := newStoreSession(c)
	c.Step(s.service.LeaseDuration)
	if err := s.service.lease.check(); err != nil {
		t.Error(err)
	}
	c.Step(1)
	if s.service.lease.check() == nil {
		t.Error("a Lease is valid beyond its duration")
	}
	s.service.registry.sessions = 1
	c.SetTime(noon.Add(s.service.StaleAfter))
	s.service.lease.renewed = c.Now()
	if gate.err = errTest; s.service.Check() != errTest { //nolint:errorlint // the very one
		t.Error("a watch at its limit hides the Gate")
	}
}

func TestAReviewIsKeptForAllThatItDependsOn(t *testing.T) {
	of := func(change func(*v1alpha1.CapabilityDispatch)) string {
		d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "a", CreationTimestamp: noon},
			Spec: v1alpha1.CapabilityDispatchSpec{Capability: "echo", RequestedBy: "rita", RequestedByGroups: []string{"crew", "all"}}}
		change(d)
		return reviewKey(d)
	}
	as := func(uid string, made metav1.Time) string {
		return of(func(d *v1alpha1.CapabilityDispatch) { d.Spec.RequestedByUID, d.CreationTimestamp = uid, made })
	}
	later, own := metav1.NewTime(noon.Add(time.Second)), of(func(*v1alpha1.CapabilityDispatch) {})
	if of(func(d *v1alpha1.CapabilityDispatch) { d.Name = "b" }) != own || as("7", noon) != as("7", later) {
		t.Error("the key of a review depends on its dispatch")
	}
	for name, key := range map[string]string{
		"namespace":  of(func(d *v1alpha1.CapabilityDispatch) { d.Namespace = "other" }),
		"capability": of(func(d *v1alpha1.CapabilityDispatch) { d.Spec.Capability = "open" }),
		"user":       of(func(d *v1alpha1.CapabilityDispatch) { d.Spec.RequestedBy = "rob" }),
		"groups":     of(func(d *v1alpha1.CapabilityDispatch) { d.Spec.RequestedByGroups = []string{"crew,3:all"} }),
		"UID":        as("7", noon), "age without a UID": as("", later),
	} {
		if key == own {
			t.Errorf("the key of a review does not depend on the %s", name)
		}
	}
}

func TestTheSessionWrittenLongestAgoIsRefreshed(t *testing.T) {
	r := newRegistry()
	if s, _ := r.leastRecentlyWritten(); s != nil {
		t.Error("an empty registry has a session")
	}
	var all []*session
	for i, ago := range []time.Duration{2, 3, 1} {
		s := &session{key: pcKey}
		s.key.Name = string(rune('a' + i))
		s.lastWrite.Store(noon.Add(-ago * time.Minute).UnixNano())
		r.slots[s.key] = &slot{current: s}
		all = append(all, s)
	}
	if s, written := r.leastRecentlyWritten(); s != all[1] || !written.Equal(noon.Add(-3*time.Minute)) {
		t.Errorf("the stalest was written at %s", written)
	}
}

func TestAHelloReplacesWhatTheRegistrationSaid(t *testing.T) {
	for sent, want := range map[string]string{"": "registered", "new": "new"} {
		s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
		s.applyHello(&gatewayv1.Hello{BootId: sent, AgentVersion: sent, JournalId: "j", DialCounter: 7},
			nodestatus.Description{BootID: "registered", System: &v1alpha1.SystemInfo{AgentVersion: "registered"}})
		if s.facts.BootID != want || s.facts.System.AgentVersion != want || s.journalID != "j" || s.dialCounter != 7 {
			t.Errorf("a Hello with %q: %+v", sent, s.facts)
		}
	}
}

// A job that starts while a worker is free runs before the waiting jobs. The waiting jobs keep
// their order.
func TestJobsThatWaitKeepTheirOrder(t *testing.T) {
	s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
	var ran []string
	job := func(name string) func(context.Context) func(context.Context) {
		return func(context.Context) func(context.Context) { return func(context.Context) { ran = append(ran, name) } }
	}
	s.runInWorker(t.Context(), job("a"))
	s.runInWorker(t.Context(), job("b"))
	s.handleWorkerDone(t.Context(), func(ctx context.Context) { s.runInWorker(ctx, job("at once")) })
	(<-s.done)(t.Context())
	s.runPending(t.Context())
	if !slices.Equal(ran, []string{"at once", "a", "b"}) {
		t.Errorf("the jobs ran in the order %q", ran)
	}
}
