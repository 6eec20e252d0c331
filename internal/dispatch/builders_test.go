package dispatch

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// t0 is when the dispatches of these tests are created.
var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at is a stored time some seconds after t0.
func at(seconds int) *metav1.Time {
	t := metav1.NewTime(t0.Add(time.Duration(seconds) * time.Second))
	return &t
}

type option func(*v1alpha1.CapabilityDispatch)

// queuedEcho is a new dispatch of echo: 60 s to start, 30 s to run.
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

func in(phase v1alpha1.DispatchPhase) option {
	return func(d *v1alpha1.CapabilityDispatch) { d.Status.Phase = phase }
}

func proven(e v1alpha1.Execution) option {
	return func(d *v1alpha1.CapabilityDispatch) { d.Status.Execution = e }
}

func startedAt(seconds int) option {
	return func(d *v1alpha1.CapabilityDispatch) {
		m := metav1.NewMicroTime(at(seconds).Time)
		d.Status.StartedTime, d.Status.Execution = &m, v1alpha1.ExecutionStarted
	}
}

// accepted: the machine said that it has it in its journal.
func accepted(d *v1alpha1.CapabilityDispatch) { d.Status = Dispatched(d.Status, "gw", t0) }

func cancelled(d *v1alpha1.CapabilityDispatch) { d.Spec.Cancel = true }

// after is a moment some seconds after t0.
func after(seconds int) time.Time { return at(seconds).Time }

// apart is a Node whose last session lasted from started to ended, in seconds after t0.
func apart(started, ended int) Facts {
	return Facts{NodeExists: true, SessionStarted: at(started), SessionEnded: at(ended)}
}
