package pairingcode

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/step"
)

// collectGarbage cleans up after a terminal code: it deletes the record first. A day later it
// deletes the code, and with it the Secret for people.
func (r *reconciler) collectGarbage(ctx context.Context, code *v1alpha1.PairingCode) (ctrl.Result, error) {
	request, err := r.requestOf(ctx, code)
	if err != nil {
		return ctrl.Result{}, err
	}
	if request != nil && !RequestTerminal(request.Status.Phase) {
		step.DebugWait(ctx, "the request of the code is undecided", 0)
		return ctrl.Result{}, nil // an event of the request follows
	}
	record, err := r.recordOf(ctx, code)
	if err != nil {
		return ctrl.Result{}, err
	}
	cleanup := decideCleanup(code, record, request, r.clock.Now())
	if cleanup.deleteRecord {
		if err := r.records.remove(ctx, record); err != nil {
			return ctrl.Result{}, err
		}
	}
	if cleanup.delete {
		err := r.client.Delete(ctx, code, client.Preconditions{UID: &code.UID})
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	step.DebugWait(ctx, "the ended code is kept for a while", cleanup.requeueAfter)
	return ctrl.Result{RequeueAfter: cleanup.requeueAfter}, nil
}

// recordOf reads the live record of a code; nil means that there is none.
func (r *reconciler) recordOf(ctx context.Context, code *v1alpha1.PairingCode) (*Record, error) {
	record, err := r.records.Get(ctx, code.Status.LookupID)
	if err != nil || record == nil || !record.BelongsTo(code) {
		return nil, err
	}
	return record, nil
}

// checkUnchanged reports from the cache, without a live read, whether nothing happened to an active
// code, and when to check again. A change of its record is an event.
func (r *reconciler) checkUnchanged(ctx context.Context, code *v1alpha1.PairingCode) (requeueAfter time.Duration, unchanged bool) {
	records, err := r.records.listFor(ctx, client.ObjectKeyFromObject(code))
	if err != nil || len(records) != 1 || !records[0].BelongsTo(code) {
		return 0, false
	}
	verdict := decideCode(code, records[0], r.clock.Now())
	return verdict.requeueAfter, verdict.phase == v1alpha1.PairingCodeActive && verdict.attemptsLeft == attemptsLeft(code)
}

// requestOf returns the PairingRequest of a used code; nil means that there is none.
func (r *reconciler) requestOf(ctx context.Context, code *v1alpha1.PairingCode) (*v1alpha1.PairingRequest, error) {
	if code.Status.UsedBy == "" {
		return nil, nil
	}
	request := &v1alpha1.PairingRequest{}
	key := client.ObjectKey{Namespace: code.Namespace, Name: code.Status.UsedBy}
	if err := r.client.Get(ctx, key, request); err != nil {
		if client.IgnoreNotFound(err) != nil {
			return nil, fmt.Errorf("read request %s: %w", key, err)
		}
		return nil, nil
	}
	return request, nil
}

// finalize deletes the records of a code that is being deleted, by its lookup id and by its name.
// The search by name finds a record of an attempt that never reached the status.
func (r *reconciler) finalize(ctx context.Context, code *v1alpha1.PairingCode) error {
	record, err := r.recordOf(ctx, code)
	if err != nil {
		return err
	}
	if record != nil {
		if err := r.records.remove(ctx, record); err != nil {
			return err
		}
	}
	if err := r.records.removeAll(ctx, client.ObjectKeyFromObject(code), nil); err != nil {
		return err
	}
	return client.IgnoreNotFound(r.setFinalizer(ctx, code, false))
}

// setFinalizer adds or removes the finalizer. It fails if the code changed since it was read.
func (r *reconciler) setFinalizer(ctx context.Context, code *v1alpha1.PairingCode, present bool) error {
	before, change := code.DeepCopy(), controllerutil.RemoveFinalizer
	if present {
		change = controllerutil.AddFinalizer
	}
	if !change(code, v1alpha1.FinalizerPairingCode) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, code, patch, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		return fmt.Errorf("change the finalizers of code %s/%s: %w", code.Namespace, code.Name, err)
	}
	return nil
}
