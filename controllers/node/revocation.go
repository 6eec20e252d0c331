package node

import (
	"context"
	"errors"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/identity"
)

// validateRevocationRequest verifies that the machine of the Node itself requests its revocation:
// its key (the pin or the next one) must have signed the request. It trusts nothing that the
// gateway checked.
func validateRevocationRequest(node *v1alpha1.Node, trustDomain string) error {
	request := node.Status.RevocationRequest
	key, err := identity.ParsePublicKeyDER(request.PublicKey)
	if err != nil {
		return err
	}
	switch fingerprint := identity.FingerprintSPKIDER(request.PublicKey); fingerprint {
	case node.Spec.PublicKeySHA256, node.Spec.NextPublicKeySHA256:
	default:
		return errors.New("it is signed by a key that is not the one of this Node")
	}
	id := identity.ID{TrustDomain: trustDomain, Namespace: node.Namespace, Node: node.Name}
	proof := identity.Proof{Method: identity.ProofRevoke, Request: id.URI(), Exporter: request.Exporter}
	return identity.VerifyProof(key, proof, request.Signature)
}

// revocationRequested reports whether the machine requested its revocation and the Node is not
// revoked yet. A request that the machine did not sign is ignored.
func (r *reconciler) revocationRequested(ctx context.Context, node *v1alpha1.Node) bool {
	if node.Status.RevocationRequest == nil || node.Spec.DesiredState == v1alpha1.NodeRevoked {
		return false
	}
	if err := validateRevocationRequest(node, r.trustDomain); err != nil {
		ctrl.LoggerFrom(ctx).Info("ignored a revocation request that the machine did not sign", "problem", err.Error())
		return false
	}
	return true
}

// revokeOnRequest revokes a Node whose machine requests it. The write is an event.
func (r *reconciler) revokeOnRequest(ctx context.Context, node *v1alpha1.Node) step.Outcome {
	if !r.revocationRequested(ctx, node) {
		return step.Continue()
	}
	before := node.DeepCopy()
	node.Spec.DesiredState, node.Spec.RevocationReason = v1alpha1.NodeRevoked, node.Status.RevocationRequest.Reason
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, node, patch); client.IgnoreNotFound(err) != nil {
		return step.Fail(fmt.Errorf("revoke node %q on request of its machine: %w", node.Name, err))
	}
	ctrl.LoggerFrom(ctx).Info("node revoked on request of its machine")
	return step.Done()
}
