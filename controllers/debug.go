package controllers

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// debugWait writes a debug line about a reconcile that changes nothing: the reason, and the time
// after which the object is reconciled again. 0 means that an event follows.
func debugWait(ctx context.Context, reason string, requeueAfter time.Duration) {
	if log := ctrl.LoggerFrom(ctx).V(1); log.Enabled() {
		log.Info("nothing to change yet", "reason", reason, "requeueAfter", requeueAfter)
	}
}

// dispatchWaitReason returns the reason why the leader does not settle a dispatch, for the log.
func dispatchWaitReason(d *v1alpha1.CapabilityDispatch, facts dispatch.Facts) string {
	switch {
	case facts.SessionLive:
		return "the gateway with the session of the node settles the dispatch"
	case facts.ProvenUnstarted(d):
		return "the dispatch has not started and waits for a session of the node"
	default:
		return "the dispatch may have started and its machine may still report"
	}
}
