package leader

import (
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func expires(seconds int32) func(*v1alpha1.CapabilityDispatch) {
	return func(d *v1alpha1.CapabilityDispatch) { d.Spec.ExpirySeconds = seconds }
}

func (w *world) patch(o client.Object, body string) {
	w.t.Helper()
	if err := w.admin.Patch(w.t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(body))); err != nil {
		w.t.Fatal(err)
	}
}

func TestADispatchForAnAbsentNodeTimesOutExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.dispatch("d", "nobody", expires(2))
	w.becomes(d, v1alpha1.DispatchTimedOut, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeNotFound)
	if late := d.Status.CompletedTime.Sub(d.CreationTimestamp.Time); late < 2*time.Second {
		t.Errorf("it ended %s after its creation, before its expiry", late)
	}
	if string(d.Spec.Input.Raw) != `{"say":"hello"}` {
		t.Errorf("settling changed the input to %s", d.Spec.Input.Raw)
	}
}

func TestCancelWithoutASessionEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.node("n")
	never := w.dispatch("never", "n")
	w.patch(never, `{"spec":{"cancel":true}}`)
	w.becomes(never, v1alpha1.DispatchCancelled, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorCancelled)

	claimed := w.dispatch("claimed", "n")
	w.claimed(claimed)
	w.patch(claimed, `{"spec":{"cancel":true}}`)
	w.becomes(claimed, v1alpha1.DispatchCancelled, v1alpha1.ExecutionUnknown, v1alpha1.ErrorCancelled)
}

func TestRevokingANodeWithoutASessionEndsItsQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	node := w.node("n")
	queued, claimed := w.dispatch("queued", "n"), w.dispatch("claimed", "n")
	w.claimed(claimed)
	w.patch(node, `{"spec":{"desiredState":"Revoked"}}`)
	w.becomes(queued, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeRevoked)
	w.becomes(claimed, v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorNodeRevoked)
}

func TestALiveSessionIsLeftAloneUntilItEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.node("n")
	gateway := w.namespace + "-alive"
	w.lease(gateway, -time.Hour)
	started := apiClock.Now().Add(-time.Minute)
	w.session("n", gateway, started, nil)
	held := w.dispatch("held", "n", expires(1))
	w.patch(held, `{"spec":{"cancel":true}}`)
	witness := w.dispatch("witness", "nobody", expires(2)) // proves that the leader was active all the time
	w.becomes(witness, v1alpha1.DispatchTimedOut, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeNotFound)
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(held), held); err != nil || held.Status.Phase != v1alpha1.DispatchQueued {
		t.Fatalf("the leader settled a dispatch of a live session as %s: %v", held.Status.Phase, err)
	}
	now := apiClock.Now()
	w.session("n", gateway, started, &now)
	w.becomes(held, v1alpha1.DispatchCancelled, v1alpha1.ExecutionUnknown, v1alpha1.ErrorCancelled)
}

func TestFinishedDispatchesGoByTheirTTLAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	short := w.dispatch("short", "nobody", func(d *v1alpha1.CapabilityDispatch) { d.Spec.TTLSecondsAfterFinished = ptr.To(int32(1)) })
	kept := w.dispatch("kept", "nobody")
	for _, d := range []*v1alpha1.CapabilityDispatch{short, kept} {
		w.patch(d, `{"spec":{"cancel":true}}`)
	}
	w.becomes(kept, v1alpha1.DispatchCancelled, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorCancelled)
	gone := func(d *v1alpha1.CapabilityDispatch) {
		eventually(t, d.Name+" goes", func() error {
			if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(d), d); !apierrors.IsNotFound(err) {
				return errors.Join(errors.New("it is still there"), err)
			}
			return nil
		})
	}
	gone(short)
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(kept), kept); err != nil {
		t.Fatalf("a dispatch without a TTL is gone: %v", err)
	}
	w.patch(kept, `{"spec":{"ttlSecondsAfterFinished":0}}`)
	gone(kept)
}

func TestAQueueBeyondTheLimitRejectsTheNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 5 {
		w.dispatch(fmt.Sprintf("d%d", i), "n")
	}
	pass(t, apiClock.Now().Add(time.Second)) // creation times have whole seconds
	sixth := w.dispatch("sixth", "n")
	w.becomes(sixth, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorQueueFull)
	list := &v1alpha1.CapabilityDispatchList{}
	if err := w.admin.List(t.Context(), list, client.InNamespace(w.namespace), client.MatchingFields{"status.phase": "Queued"}); err != nil || len(list.Items) != 5 {
		t.Errorf("%d dispatches are Queued, want 5: %v", len(list.Items), err)
	}
}
