package pairingcode

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
)

// expireUnproven expires a code that no proof covers, before a machine uses it. A code that a
// machine already used ends as Used; its request is refused.
func (r *reconciler) expireUnproven(ctx context.Context, code *v1alpha1.PairingCode, reason *status.Reason) (ctrl.Result, error) {
	record, err := r.recordOf(ctx, code)
	if err != nil {
		return ctrl.Result{}, err
	}
	if record != nil && record.ConsumedBy != "" {
		return r.updateActive(ctx, code)
	}
	if record != nil {
		if err := r.records.remove(ctx, record); err != nil {
			return ctrl.Result{}, err
		}
	}
	return r.terminate(ctx, code, codeVerdict{phase: v1alpha1.PairingCodeExpired, reason: reason.Reason, message: reason.Message})
}

// openCodes returns requests for the codes that a machine may still use.
func (r *reconciler) openCodes(ctx context.Context, _ client.Object) []reconcile.Request {
	list := &v1alpha1.PairingCodeList{}
	if err := r.client.List(ctx, list); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the pairing codes")
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if list.Items[i].Status.Phase == v1alpha1.PairingCodeActive {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}
