package dispatch

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func stamped(seconds int) *metav1.MicroTime {
	t := metav1.NewMicroTime(t0.Add(time.Duration(seconds) * time.Second))
	return &t
}

// secondsOf returns the arguments of `stamped` for the given times, and -1000 for nil.
func secondsOf(times ...*metav1.MicroTime) (all []int) {
	for _, t := range times {
		if t == nil {
			all = append(all, -1000)
			continue
		}
		all = append(all, int(t.Sub(t0)/time.Second))
	}
	return all
}

func TestTimesOfSeveralClocksArePutInOrder(t *testing.T) {
	const none = -1000
	for name, c := range map[string]struct{ old, next, want [3]int }{
		"a machine whose clock is behind":            {[3]int{none, none, none}, [3]int{2, -50, 5}, [3]int{2, 2, 5}},
		"a start before the stored dispatch":         {[3]int{3, none, none}, [3]int{3, 1, 5}, [3]int{3, 3, 5}},
		"no dispatch, a start before the creation":   {[3]int{none, none, none}, [3]int{none, -1, 5}, [3]int{none, 0, 5}},
		"a gateway whose estimate is behind":         {[3]int{none, none, none}, [3]int{-1, none, none}, [3]int{0, none, none}},
		"a completion before the stored start":       {[3]int{3, 7, none}, [3]int{3, 7, 6}, [3]int{3, 7, 7}},
		"a late result with a start after the end":   {[3]int{1, none, 4}, [3]int{1, 9, 4}, [3]int{1, 4, 4}},
		"a late dispatch after the stored end":       {[3]int{none, none, 4}, [3]int{9, none, 4}, [3]int{4, none, 4}},
		"times that are stored in a wrong order":     {[3]int{5, 3, none}, [3]int{5, 3, 6}, [3]int{5, 3, 6}},
		"times that are in order":                    {[3]int{none, none, none}, [3]int{1, 2, 3}, [3]int{1, 2, 3}},
		"no times":                                   {[3]int{none, none, none}, [3]int{none, none, none}, [3]int{none, none, none}},
		"a completion before the creation, no start": {[3]int{none, none, none}, [3]int{none, none, -1}, [3]int{none, none, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			d := queuedEcho()
			d.CreationTimestamp = metav1.NewTime(t0)
			d.Status = statusAt(d.Status, c.old)
			got := OrderTimes(d, statusAt(d.Status, c.next))
			if times := secondsOf(got.DispatchedTime, got.StartedTime, got.CompletedTime); [3]int(times) != c.want {
				t.Errorf("dispatched, started, completed at %v, want %v", times, c.want)
			}
		})
	}
}

func statusAt(status v1alpha1.CapabilityDispatchStatus, seconds [3]int) v1alpha1.CapabilityDispatchStatus {
	next := *status.DeepCopy()
	for i, field := range []**metav1.MicroTime{&next.DispatchedTime, &next.StartedTime, &next.CompletedTime} {
		if *field = nil; seconds[i] != -1000 {
			*field = stamped(seconds[i])
		}
	}
	return next
}

// The stored times never run backwards, whatever the clocks of a machine and of the writers show.
func TestStoredTimesNeverRunBackwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := queuedEcho()
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			now := t0.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "seconds")) * time.Second)
			var next v1alpha1.CapabilityDispatchStatus
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				next = Claim(d.Status, "gw", now)
			case 1:
				next = MarkProgress(d.Status, 1, "", "gw", now)
			case 2:
				next = finishUnstarted(d.Status, v1alpha1.DispatchFailed, "Late", "late", now)
				if Finished(d.Status) {
					next = d.Status
				}
			default:
				next, _ = Settle(d.Status, Result{Outcome: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished,
					Started: t0.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "started")) * time.Second)}, "gw", now)
			}
			d.Status = OrderTimes(d, next)
			last := d.CreationTimestamp.Time
			for _, stored := range []*metav1.MicroTime{d.Status.DispatchedTime, d.Status.StartedTime, d.Status.CompletedTime} {
				if stored == nil {
					continue
				}
				if stored.Time.Before(last) {
					t.Fatalf("%v after %v: %v", secondsOf(d.Status.DispatchedTime, d.Status.StartedTime, d.Status.CompletedTime), last, d.CreationTimestamp)
				}
				last = stored.Time
			}
		}
	})
}
