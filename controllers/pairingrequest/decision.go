package pairingrequest

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
)

// awaitDecision waits for the decision about an undecided request. It expires the request, or
// approves it for a code or a rule.
func (r *reconciler) awaitDecision(ctx context.Context, s *scope) step.Outcome {
	if s.request.Spec.Decision != nil {
		return step.Continue()
	}
	return step.Run(ctx, s, r.stampUndecided, r.expireUndecided, r.awaitPerson, r.check, r.requireAutoApproval, r.approveForCode)
}

func (r *reconciler) expireUndecided(_ context.Context, s *scope) step.Outcome {
	if s.timeLeft = s.request.Spec.ExpiresTime.Sub(r.clock.Now()); s.timeLeft > 0 {
		return step.Continue()
	}
	r.finish(s, v1alpha1.PairingRequestExpired, status.Reasonf(v1alpha1.ReasonRequestExpired,
		"no decision was made until %s: pair the machine again with a new code", s.request.Spec.ExpiresTime.UTC().Format(time.RFC3339)))
	return step.Done()
}

// awaitPerson waits for a person, who decides about every request with a PIN.
func (r *reconciler) awaitPerson(_ context.Context, s *scope) step.Outcome {
	if s.request.Spec.Method != v1alpha1.PairingMethodPIN {
		return step.Continue()
	}
	return step.Wait(s.timeLeft, "a person decides about the request")
}

// requireAutoApproval waits unless the code of a request may approve it now.
func (r *reconciler) requireAutoApproval(_ context.Context, s *scope) step.Outcome {
	epoch, _, inForce := r.proofs.Current()
	switch {
	case !s.code.Spec.AutoApprove:
		return step.Wait(s.timeLeft, "a person decides about the request")
	case !inForce || r.gate.Check() != nil:
		return step.Wait(min(s.timeLeft, proof.GateRetryDelay), "the admission policies are not proven")
	case s.request.Spec.Method == v1alpha1.PairingMethodQR && !r.codeInEpoch(s.code, epoch):
		r.announce(s, v1alpha1.ConditionApproved, metav1.ConditionUnknown, "AwaitDecision", status.Reasonf(v1alpha1.ErrorPolicyUnproven,
			"PairingCode %q was open while the admission policies were not proven, so it does not approve by itself: "+
				"compare %s with the screen of the machine, then approve or deny (verb approve on pairingrequests)", s.code.Name, s.request.Spec.VerificationCode))
		return step.Wait(s.timeLeft, "a person decides about the request")
	default:
		return step.Continue()
	}
}

// approveForCode records the decision that the issuer of the code made in advance. It is recorded
// like any other decision, and carried out by the next reconcile.
func (r *reconciler) approveForCode(ctx context.Context, s *scope) step.Outcome {
	request := s.request.DeepCopy()
	request.Spec.Decision = &v1alpha1.PairingDecision{
		Verdict: v1alpha1.VerdictApproved,
		Reason:  fmt.Sprintf("PairingCode %q approves by itself", s.code.Name),
	}
	if request.Spec.Method == v1alpha1.PairingMethodServiceAccount {
		request.Spec.Decision.Reason = accountReason(request, s.code)
	}
	if issuer := s.code.Spec.IssuedBy; issuer != "" && len(issuer) <= maxIssuerInReason {
		request.Spec.Decision.Reason += ", issued by " + issuer
	}
	patch := client.MergeFromWithOptions(s.request, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, request, patch, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		return step.Fail(fmt.Errorf("approve request %s/%s for its code: %w", request.Namespace, request.Name, err))
	}
	r.decisions.Since(request.UID, proof.OwnDecision, time.Time{}) // the controller's own write needs no proof
	return step.Done()
}

// deny carries out the denial of a request.
func (r *reconciler) deny(_ context.Context, s *scope) step.Outcome {
	if s.request.Spec.Decision.Verdict == v1alpha1.VerdictApproved {
		return step.Continue()
	}
	r.finish(s, v1alpha1.PairingRequestDenied, status.NewReason(v1alpha1.ReasonDenied, verdictText("denied", s.request.Spec.Decision)))
	return step.Done()
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
