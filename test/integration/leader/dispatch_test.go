package leader

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func withExpiry(seconds int32) func(*v1alpha1.CapabilityDispatch) {
	return func(d *v1alpha1.CapabilityDispatch) { d.Spec.ExpirySeconds = seconds }
}

func (w *fixture) patch(o client.Object, body string) {
	w.t.Helper()
	if err := w.admin.Patch(w.t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(body))); err != nil {
		w.t.Fatal(err)
	}
}

func TestADispatchForAnAbsentNodeTimesOutExactly(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	d := w.createDispatch("d", "nobody", withExpiry(2))
	w.waitForDispatch(d, v1alpha1.DispatchTimedOut, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeNotFound)
	if late := d.Status.CompletedTime.Sub(d.CreationTimestamp.Time); late < 2*time.Second {
		t.Errorf("it ended %s after its creation, before its expiry", late)
	}
	if string(d.Spec.Input.Raw) != `{"say":"hello"}` {
		t.Errorf("settling changed the input to %s", d.Spec.Input.Raw)
	}
}

func TestCancelWithoutASessionEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.createNode("n")
	never := w.createDispatch("never", "n")
	w.patch(never, `{"spec":{"cancel":true}}`)
	w.waitForDispatch(never, v1alpha1.DispatchCancelled, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorCancelled)

	claimed := w.createDispatch("claimed", "n")
	w.markClaimed(claimed)
	w.patch(claimed, `{"spec":{"cancel":true}}`)
	w.waitForDispatch(claimed, v1alpha1.DispatchCancelled, v1alpha1.ExecutionUnknown, v1alpha1.ErrorCancelled)
}

func TestRevokingANodeWithoutASessionEndsItsQueue(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	node := w.createNode("n")
	queued, claimed := w.createDispatch("queued", "n"), w.createDispatch("claimed", "n")
	w.markClaimed(claimed)
	w.patch(node, `{"spec":{"desiredState":"Revoked"}}`)
	w.waitForDispatch(queued, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeRevoked)
	w.waitForDispatch(claimed, v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorNodeRevoked)
}

func TestALiveSessionIsLeftAloneUntilItEnds(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	w.createNode("n")
	gateway := w.namespace + "-alive"
	w.createLease(gateway, -time.Hour)
	started := apiClock.Now().Add(-time.Minute)
	w.applySession("n", gateway, started, nil)
	held := w.createDispatch("held", "n", withExpiry(1))
	w.patch(held, `{"spec":{"cancel":true}}`)
	witness := w.createDispatch("witness", "nobody", withExpiry(2)) // proves that the leader was active all the time
	w.waitForDispatch(witness, v1alpha1.DispatchTimedOut, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeNotFound)
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(held), held); err != nil || held.Status.Phase != v1alpha1.DispatchQueued {
		t.Fatalf("the leader settled a dispatch of a live session as %s: %v", held.Status.Phase, err)
	}
	now := apiClock.Now()
	w.applySession("n", gateway, started, &now)
	w.waitForDispatch(held, v1alpha1.DispatchCancelled, v1alpha1.ExecutionUnknown, v1alpha1.ErrorCancelled)
}

func TestFinishedDispatchesGoByTheirTTLAlone(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	short := w.createDispatch("short", "nobody", func(d *v1alpha1.CapabilityDispatch) { d.Spec.TTLSecondsAfterFinished = ptr.To(int32(1)) })
	kept := w.createDispatch("kept", "nobody")
	for _, d := range []*v1alpha1.CapabilityDispatch{short, kept} {
		w.patch(d, `{"spec":{"cancel":true}}`)
	}
	w.waitForDispatch(kept, v1alpha1.DispatchCancelled, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorCancelled)
	gone := func(d *v1alpha1.CapabilityDispatch) {
		soon.Succeeds(t, d.Name+" goes", func(context.Context) error {
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
	w := newFixture(t)
	for i := range 5 {
		w.createDispatch(fmt.Sprintf("d%d", i), "n")
	}
	waitUntil(t, apiClock.Now().Add(time.Second)) // creation times have whole seconds
	sixth := w.createDispatch("sixth", "n")
	w.waitForDispatch(sixth, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorQueueFull)
	list := &v1alpha1.CapabilityDispatchList{}
	if err := w.admin.List(t.Context(), list, client.InNamespace(w.namespace), client.MatchingFields{"status.phase": "Queued"}); err != nil || len(list.Items) != 5 {
		t.Errorf("%d dispatches are Queued, want 5: %v", len(list.Items), err)
	}
}
