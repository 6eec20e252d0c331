package controllers

import (
	"bytes"
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// decide carries out the decision about a pending request, or waits for one.
func (r *pairingRequestReconciler) decide(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	if request.Spec.Decision == nil {
		return r.await(ctx, request)
	}
	waiting, refused, err := r.proven(ctx, request)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case refused != nil:
		return r.finish(ctx, request, v1alpha1.PairingRequestFailed, refused)
	case waiting != nil:
		err := r.note(ctx, request.DeepCopy(), request, v1alpha1.ConditionApproved, metav1.ConditionUnknown, waiting)
		return ctrl.Result{RequeueAfter: gateDelay}, err
	case request.Spec.Decision.Verdict == v1alpha1.VerdictApproved:
		return r.approve(ctx, request)
	default:
		return r.finish(ctx, request, v1alpha1.PairingRequestDenied, &refusal{v1alpha1.ReasonDenied, verdictText("denied", request.Spec.Decision)})
	}
}

// await looks for a decision that a code or a rule makes by itself, and for the end of the wait.
func (r *pairingRequestReconciler) await(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	left := request.Spec.ExpiresTime.Sub(r.clock.Now())
	if left <= 0 {
		return r.finish(ctx, request, v1alpha1.PairingRequestExpired, refuse(v1alpha1.ReasonRequestExpired,
			"nobody decided until %s: pair the machine again with a new code", request.Spec.ExpiresTime.UTC().Format(time.RFC3339)))
	}
	if request.Spec.Method == v1alpha1.PairingMethodPIN {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	code, refused, err := r.check(ctx, request)
	proven := r.gate.Check() == nil
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case refused != nil:
		return r.finish(ctx, request, v1alpha1.PairingRequestFailed, refused)
	case !code.Spec.AutoApprove:
		return ctrl.Result{RequeueAfter: left}, nil
	case !proven:
		return ctrl.Result{RequeueAfter: min(left, gateDelay)}, nil
	}
	return ctrl.Result{}, r.approveForCode(ctx, request, code)
}

// approveForCode writes the decision that whoever issued the code has made: it is recorded
// like any other, and carried out when it is seen.
func (r *pairingRequestReconciler) approveForCode(ctx context.Context, request *v1alpha1.PairingRequest, code *v1alpha1.PairingCode) error {
	before := request.DeepCopy()
	request.Spec.Decision = &v1alpha1.PairingDecision{
		Verdict: v1alpha1.VerdictApproved,
		Reason:  fmt.Sprintf("PairingCode %q approves by itself", code.Name),
	}
	if request.Spec.Method == v1alpha1.PairingMethodServiceAccount {
		request.Spec.Decision.Reason = accountReason(request, code)
	}
	if issuer := code.Spec.IssuedBy; issuer != "" && len(issuer) <= maxIssuerInReason {
		request.Spec.Decision.Reason += ", issued by " + issuer
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, request, patch, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		return fmt.Errorf("approve request %s/%s for its code: %w", request.Namespace, request.Name, err)
	}
	return nil
}

// maxIssuerInReason keeps a reason within its 1024 characters; the whole name is in the spec.
const maxIssuerInReason = 512

// proven says whether the decision may be believed: only while the admission policies, which
// check who decides, are proven. A decision made after they were last good, and seen while they
// are found broken, is never honoured; otherwise it waits.
func (r *pairingRequestReconciler) proven(ctx context.Context, request *v1alpha1.PairingRequest) (waiting, refused *refusal, err error) {
	closed := r.gate.Check()
	if closed == nil {
		return nil, nil, nil
	}
	waiting = refuse(v1alpha1.ErrorPolicyUnproven, "the decision waits: %s", gateText(closed))
	good, failing := r.gate.Failing()
	if !failing {
		return waiting, nil, nil
	}
	live := &v1alpha1.PairingRequest{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(request), live); err != nil {
		return nil, nil, fmt.Errorf("read request: %w", err)
	}
	if decided := decidedTime(live); !decided.IsZero() && decided.Before(good) {
		return waiting, nil, nil
	}
	return nil, refuse(v1alpha1.ErrorPolicyUnproven,
		"decided while the admission policies did not work, so nobody knows by whom: pair the machine again with a new code"), nil
}

// decidedTime is when the fields of whoever set the decision were last written; zero if nobody
// is known to have set it.
func decidedTime(request *v1alpha1.PairingRequest) time.Time {
	var latest time.Time
	for _, entry := range request.ManagedFields {
		if entry.FieldsV1 == nil || entry.Time == nil || entry.Subresource != "" || !bytes.Contains(entry.FieldsV1.GetRawBytes(), []byte(`"f:decision"`)) {
			continue
		}
		if entry.Time.After(latest) {
			latest = entry.Time.Time
		}
	}
	return latest
}

func verdictText(verb string, decision *v1alpha1.PairingDecision) string {
	text := fmt.Sprintf("%s by %s", verb, decision.By)
	if decision.Reason != "" {
		text += ": " + decision.Reason
	}
	return text
}
