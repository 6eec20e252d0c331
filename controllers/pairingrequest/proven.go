package pairingrequest

import (
	"context"
	"fmt"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/internal/policy"
)

// checkDecisionProven decides whether a decision may be carried out. The request must have been
// seen undecided in the Epoch in force, and the policies must have been proven after the decision
// was seen: then they checked its author. No field that an author could set takes part.
func (r *reconciler) checkDecisionProven(request *v1alpha1.PairingRequest) (waiting, refused *status.Reason, err error) {
	epoch, first, ok := r.proofs.Current()
	switch {
	case r.proofs.Failing(), ok && request.Status.PolicyEpoch != epoch.ID && !(first && request.Status.PolicyEpoch == ""):
		return nil, status.Reasonf(v1alpha1.ErrorPolicyUnproven,
			"decided while the admission policies were not proven, so nothing shows that %q had the verb approve on pairingrequests: pair the machine again with a new code",
			request.Spec.Decision.By), nil
	case r.decisions.IsOwnDecision(request.UID):
	case !ok || !r.proofs.ProvenAfter(r.decisions.Since(request.UID, "decided", r.clock.Now())):
		if gateErr := r.gate.Check(); gateErr != nil {
			break
		}
		return nil, nil, proof.ErrAwaiting
	}
	if gateErr := r.gate.Check(); gateErr != nil {
		return status.Reasonf(v1alpha1.ErrorPolicyUnproven, "the decision waits: %s", proof.GateReason(gateErr)), nil, nil
	}
	return nil, nil, nil
}

// stampUndecided records in the status that the request is undecided in the Epoch in force.
func (r *reconciler) stampUndecided(ctx context.Context, request *v1alpha1.PairingRequest) (stamped bool, err error) {
	epoch, _, ok := r.proofs.Current()
	if !ok || request.Spec.Decision != nil || request.Status.PolicyEpoch == epoch.ID {
		return false, nil
	}
	before := request.DeepCopy()
	request.Status.PolicyEpoch = epoch.ID
	return status.Save(ctx, r.client, before, request)
}

// stampAllUndecided stamps the undecided requests for an Epoch that begins, before its gates open.
func (r *reconciler) stampAllUndecided(ctx context.Context) error {
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

// codeInEpoch reports whether a code was created in an Epoch. Its password record was then guarded
// for its whole lifetime too.
func (r *reconciler) codeInEpoch(code *v1alpha1.PairingCode, epoch policy.Epoch) bool {
	coverage, in := r.proofs.Covers(code.CreationTimestamp.Time)
	return coverage == policy.Covered && in.ID == epoch.ID
}
