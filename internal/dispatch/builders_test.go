package dispatch

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// t0 is the creation time of the dispatches in these tests.
var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at returns a stored time, in seconds after t0.
func at(seconds int) *metav1.Time {
	t := metav1.NewTime(t0.Add(time.Duration(seconds) * time.Second))
	return &t
}

type option func(*v1alpha1.CapabilityDispatch)

// queuedEcho returns a new dispatch of echo with 60 s to start and 30 s to run.
func queuedEcho(options ...option) *v1alpha1.CapabilityDispatch {
	d := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "d", CreationTimestamp: *at(0)},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: "n", Capability: "echo", ExpirySeconds: 60, TimeoutSeconds: 30, MaxPayloadBytes: 64},
		Status:     v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchQueued},
	}
	for _, o := range options {
		o(d)
	}
	return d
}

func inPhase(phase v1alpha1.DispatchPhase) option {
	return func(d *v1alpha1.CapabilityDispatch) { d.Status.Phase = phase }
}

func withExecution(e v1alpha1.Execution) option {
	return func(d *v1alpha1.CapabilityDispatch) { d.Status.Execution = e }
}

func startedAt(seconds int) option {
	return func(d *v1alpha1.CapabilityDispatch) {
		m := metav1.NewMicroTime(at(seconds).Time)
		d.Status.StartedTime, d.Status.Execution = &m, v1alpha1.ExecutionStarted
	}
}

// accepted sets the status of a dispatch that the machine has in its journal.
func accepted(d *v1alpha1.CapabilityDispatch) { d.Status = MarkAccepted(d.Status, "gw", t0) }

func cancelled(d *v1alpha1.CapabilityDispatch) { d.Spec.Cancel = true }

// after returns a time, in seconds after t0.
func after(seconds int) time.Time { return at(seconds).Time }

// endedSessionFacts returns the Facts of a Node whose last session lasted from started to ended, in
// seconds after t0.
func endedSessionFacts(started, ended int) Facts {
	return Facts{NodeExists: true, SessionStarted: at(started), SessionEnded: at(ended)}
}
