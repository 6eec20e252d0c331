package dispatch

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Terminal reports whether a dispatch in this phase never changes phase again.
func Terminal(phase v1alpha1.DispatchPhase) bool { return phase.Terminal() }

// Finished reports whether the phase of the status is terminal.
func Finished(status v1alpha1.CapabilityDispatchStatus) bool { return Terminal(status.Phase) }

// queued reports whether nobody has claimed the dispatch or reported about it. An empty phase is
// the default of the kind, not yet filled in.
func queued(status v1alpha1.CapabilityDispatchStatus) bool {
	return status.Phase == v1alpha1.DispatchQueued || status.Phase == ""
}

// Expires is when the dispatch must have started; an offer past it is refused unrun.
func Expires(d *v1alpha1.CapabilityDispatch) time.Time {
	return d.CreationTimestamp.Add(seconds(d.Spec.ExpirySeconds))
}

// Timeout is the run time on the machine.
func Timeout(d *v1alpha1.CapabilityDispatch) time.Duration { return seconds(d.Spec.TimeoutSeconds) }

// NeedsClaim reports whether the holder of a session must claim the dispatch by a
// compare-and-swap (see Claim) before it offers it: it was created no later than the session was
// recorded (ties included), so without a claim the leader would later call it proven unstarted.
// Later ones are offered without a write; claimed ones need no second claim.
func NeedsClaim(d *v1alpha1.CapabilityDispatch, sessionStarted metav1.Time) bool {
	return queued(d.Status) && !d.CreationTimestamp.After(sessionStarted.Time)
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }
