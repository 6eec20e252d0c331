package dispatch

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Terminal reports whether a dispatch in this phase never changes phase again.
func Terminal(phase v1alpha1.DispatchPhase) bool { return phase.Terminal() }

// TerminalPhases returns all terminal phases.
func TerminalPhases() []v1alpha1.DispatchPhase {
	return []v1alpha1.DispatchPhase{
		v1alpha1.DispatchSucceeded, v1alpha1.DispatchFailed, v1alpha1.DispatchTimedOut,
		v1alpha1.DispatchRejected, v1alpha1.DispatchCancelled,
	}
}

// Finished reports whether the phase of the status is terminal.
func Finished(status v1alpha1.CapabilityDispatchStatus) bool { return Terminal(status.Phase) }

// isQueued reports whether the dispatch is unclaimed and without any report. An empty phase is the
// default of the kind that is not filled in yet.
func isQueued(status v1alpha1.CapabilityDispatchStatus) bool {
	return status.Phase == v1alpha1.DispatchQueued || status.Phase == ""
}

// Accepted reports whether the status records that the machine has the dispatch in its journal.
// From then on every journal that is not older contains the dispatch until it is settled after its
// end.
func Accepted(status v1alpha1.CapabilityDispatchStatus) bool {
	return meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionDelivered)
}

// ExpiryTime returns the latest start of the dispatch; a later offer is rejected without a run.
func ExpiryTime(d *v1alpha1.CapabilityDispatch) time.Time {
	return d.CreationTimestamp.Add(secondsDuration(d.Spec.ExpirySeconds))
}

// RunTimeout returns the maximum run time on the machine.
func RunTimeout(d *v1alpha1.CapabilityDispatch) time.Duration {
	return secondsDuration(d.Spec.TimeoutSeconds)
}

// NeedsClaim reports whether the holder of a session must claim the dispatch before it offers it,
// with the compare-and-swap of Claim. A claim is necessary if the dispatch was created no later
// than the session was recorded (ties included). Without a claim the leader would later treat such
// a dispatch as proven unstarted. Later dispatches are offered without a write. A claimed dispatch
// needs no second claim.
func NeedsClaim(d *v1alpha1.CapabilityDispatch, sessionStarted metav1.Time) bool {
	return isQueued(d.Status) && !d.CreationTimestamp.After(sessionStarted.Time)
}

func secondsDuration(n int32) time.Duration { return time.Duration(n) * time.Second }
