package controllers

import (
	"context"
	"fmt"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
)

// ownDecision is the value in observedValues of a decision that this process has written itself.
const ownDecision = "own"

// checkDecisionProven decides whether a decision may be carried out. The request must have been
// seen undecided in the Epoch in force, and the policies must have been proven after the decision
// was seen: then they checked its author. No field that an author could set takes part.
func (r *pairingRequestReconciler) checkDecisionProven(request *v1alpha1.PairingRequest) (waiting, refused *conditionReason, err error) {
	epoch, first, ok := r.proofs.Current()
	switch {
	case r.proofs.Failing(), ok && request.Status.PolicyEpoch != epoch.ID && !(first && request.Status.PolicyEpoch == ""):
		return nil, newReason(v1alpha1.ErrorPolicyUnproven,
			"decided while the admission policies were not proven, so nothing shows that %q had the verb approve on pairingrequests: pair the machine again with a new code",
			request.Spec.Decision.By), nil
	case r.decisions.isOwnDecision(request.UID):
	case !ok || !r.proofs.ProvenAfter(r.decisions.since(request.UID, "decided", r.clock.Now())):
		if gateErr := r.gate.Check(); gateErr != nil {
			break
		}
		return nil, nil, errAwaitingProof
	}
	if gateErr := r.gate.Check(); gateErr != nil {
		return newReason(v1alpha1.ErrorPolicyUnproven, "the decision waits: %s", gateReason(gateErr)), nil, nil
	}
	return nil, nil, nil
}

// stampUndecided records in the status that the request is undecided in the Epoch in force.
func (r *pairingRequestReconciler) stampUndecided(ctx context.Context, request *v1alpha1.PairingRequest) (stamped bool, err error) {
	epoch, _, ok := r.proofs.Current()
	if !ok || request.Spec.Decision != nil || request.Status.PolicyEpoch == epoch.ID {
		return false, nil
	}
	before := request.DeepCopy()
	request.Status.PolicyEpoch = epoch.ID
	return saveStatus(ctx, r.client, before, request)
}

// stampAllUndecided stamps the undecided requests for an Epoch that begins, before its gates open.
func (r *pairingRequestReconciler) stampAllUndecided(ctx context.Context) error {
	list := &v1alpha1.PairingRequestList{}
	if err := r.live.List(ctx, list); err != nil {
		return fmt.Errorf("list pairing requests: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].Status.Phase != v1alpha1.PairingRequestPending {
			continue
		}
		if _, err := r.stampUndecided(ctx, &list.Items[i]); err != nil {
			return err // on a conflict the request may be decided, and the next try reads it again
		}
	}
	return nil
}

// checkCodeProven decides whether proofs cover the time at which a code was created. Its
// autoApprove, replaceNode and issuedBy depend on that.
func checkCodeProven(proofs Proofs, code *v1alpha1.PairingCode) (*conditionReason, error) {
	switch coverage, _ := proofs.Covers(code.CreationTimestamp.Time); coverage {
	case policy.Covered:
		return nil, nil
	case policy.Awaiting:
		return nil, errAwaitingProof
	default:
		return newReason(v1alpha1.ErrorPolicyUnproven, "PairingCode %q was created while the admission policies were not proven, so nothing shows that %q "+
			"issued it and may set autoApprove or replaceNode (verb approve on pairingrequests): create another PairingCode", code.Name, code.Spec.IssuedBy), nil
	}
}

// codeInEpoch reports whether a code was created in an Epoch. Its password record was then guarded
// for its whole lifetime too.
func (r *pairingRequestReconciler) codeInEpoch(code *v1alpha1.PairingCode, epoch policy.Epoch) bool {
	coverage, in := r.proofs.Covers(code.CreationTimestamp.Time)
	return coverage == policy.Covered && in.ID == epoch.ID
}
