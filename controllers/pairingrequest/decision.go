package pairingrequest

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
)

// decide carries out the decision about a pending request, or waits for a decision.
func (r *reconciler) decide(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	if request.Spec.Decision == nil {
		if stamped, err := r.stampUndecided(ctx, request); stamped || err != nil {
			return ctrl.Result{}, err // the write is an event
		}
		return r.awaitDecision(ctx, request)
	}
	waiting, refused, err := r.checkDecisionProven(request)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case refused != nil:
		return r.finish(ctx, request, v1alpha1.PairingRequestFailed, refused)
	case waiting != nil:
		step.DebugWait(ctx, "the policies that guard the decision are not proven", proof.GateRetryDelay)
		err := r.saveCondition(ctx, request.DeepCopy(), request, v1alpha1.ConditionApproved, metav1.ConditionUnknown, waiting)
		return ctrl.Result{RequeueAfter: proof.GateRetryDelay}, err
	case request.Spec.Decision.Verdict == v1alpha1.VerdictApproved:
		return r.approve(ctx, request)
	default:
		return r.finish(ctx, request, v1alpha1.PairingRequestDenied, status.NewReason(v1alpha1.ReasonDenied, verdictText("denied", request.Spec.Decision)))
	}
}

// awaitDecision waits for a decision: it approves for a code or a rule, or expires the request.
func (r *reconciler) awaitDecision(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	remaining := request.Spec.ExpiresTime.Sub(r.clock.Now())
	if remaining <= 0 {
		return r.finish(ctx, request, v1alpha1.PairingRequestExpired, status.Reasonf(v1alpha1.ReasonRequestExpired,
			"no decision was made until %s: pair the machine again with a new code", request.Spec.ExpiresTime.UTC().Format(time.RFC3339)))
	}
	if request.Spec.Method == v1alpha1.PairingMethodPIN {
		step.DebugWait(ctx, "a person decides about the request", remaining)
		return ctrl.Result{RequeueAfter: remaining}, nil
	}
	code, refused, err := r.check(ctx, request)
	epoch, _, inForce := r.proofs.Current()
	proven := inForce && r.gate.Check() == nil
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case refused != nil:
		return r.finish(ctx, request, v1alpha1.PairingRequestFailed, refused)
	case !code.Spec.AutoApprove:
		step.DebugWait(ctx, "a person decides about the request", remaining)
		return ctrl.Result{RequeueAfter: remaining}, nil
	case !proven:
		step.DebugWait(ctx, "the admission policies are not proven", min(remaining, proof.GateRetryDelay))
		return ctrl.Result{RequeueAfter: min(remaining, proof.GateRetryDelay)}, nil
	case request.Spec.Method == v1alpha1.PairingMethodQR && !r.codeInEpoch(code, epoch):
		return ctrl.Result{RequeueAfter: remaining}, r.saveCondition(ctx, request.DeepCopy(), request, v1alpha1.ConditionApproved, metav1.ConditionUnknown,
			status.Reasonf(v1alpha1.ErrorPolicyUnproven, "PairingCode %q was open while the admission policies were not proven, so it does not approve by itself: "+
				"compare %s with the screen of the machine, then approve or deny (verb approve on pairingrequests)", code.Name, request.Spec.VerificationCode))
	}
	return ctrl.Result{}, r.approveForCode(ctx, request, code)
}

// approveForCode records the decision that the issuer of the code made in advance. It is recorded
// like any other decision, and carried out by the next reconcile.
func (r *reconciler) approveForCode(ctx context.Context, request *v1alpha1.PairingRequest, code *v1alpha1.PairingCode) error {
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
	r.decisions.Since(request.UID, proof.OwnDecision, time.Time{}) // the controller's own write needs no proof
	return nil
}

// maxIssuerInReason keeps a reason within its 1024 characters; the spec has the whole name.
const maxIssuerInReason = 512

func verdictText(verb string, decision *v1alpha1.PairingDecision) string {
	text := fmt.Sprintf("%s by %s", verb, decision.By)
	if decision.Reason != "" {
		text += ": " + decision.Reason
	}
	return text
}
