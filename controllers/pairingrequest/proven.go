package pairingrequest

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/policy"
)

// requireProof lets a decision be carried out only if it is proven. The request must have been seen
// undecided in the Epoch in force, and the policies must have been proven after the decision was
// seen: then they checked its author. No field that an author could set takes part.
func (r *reconciler) requireProof(_ context.Context, s *scope) step.Outcome {
	request := s.request
	epoch, first, ok := r.proofs.Current()
	switch {
	case r.proofs.Failing(), ok && request.Status.PolicyEpoch != epoch.ID && !(first && request.Status.PolicyEpoch == ""):
		return step.Refuse(status.Reasonf(v1alpha1.ErrorPolicyUnproven,
			"decided while the admission policies were not proven, so nothing shows that %q had the verb approve on pairingrequests: pair the machine again with a new code",
			request.Spec.Decision.By))
	case r.decisions.IsOwnDecision(request.UID):
	case !ok || !r.proofs.ProvenAfter(r.decisions.Since(request.UID, "decided", r.clock.Now())):
		if gateErr := r.gate.Check(); gateErr != nil {
			break
		}
		return step.Fail(proof.ErrAwaiting)
	}
	if gateErr := r.gate.Check(); gateErr != nil {
		r.announce(s, v1alpha1.ConditionApproved, metav1.ConditionUnknown, "AwaitProof",
			status.Reasonf(v1alpha1.ErrorPolicyUnproven, "the decision waits: %s", proof.GateReason(gateErr)))
		return step.Wait(proof.GateRetryDelay, "the policies that guard the decision are not proven")
	}
	return step.Continue()
}

// stampUndecided records in the status that the request is undecided in the Epoch in force. The
// write is an event.
func (r *reconciler) stampUndecided(_ context.Context, s *scope) step.Outcome {
	epoch, _, ok := r.proofs.Current()
	if !ok || s.request.Spec.Decision != nil || s.request.Status.PolicyEpoch == epoch.ID {
		return step.Continue()
	}
	s.request.Status.PolicyEpoch = epoch.ID
	return step.Done()
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
		s := newScope(&list.Items[i])
		r.stampUndecided(ctx, s)
		if err := r.writeStatus(ctx, s); err != nil {
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
