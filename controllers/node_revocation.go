package controllers

import (
	"context"
	"errors"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// checkRevocationWish verifies that the machine of the Node itself requests its revocation: its key
// (the pin or the next one) must have signed the request. It trusts nothing that the gateway
// checked.
func checkRevocationWish(node *v1alpha1.Node, trustDomain string) error {
	wish := node.Status.RevocationRequest
	key, err := identity.ParsePublicKeyDER(wish.PublicKey)
	if err != nil {
		return err
	}
	switch fingerprint := identity.FingerprintSPKIDER(wish.PublicKey); fingerprint {
	case node.Spec.PublicKeySHA256, node.Spec.NextPublicKeySHA256:
	default:
		return errors.New("it is signed by a key that is not the one of this Node")
	}
	id := identity.ID{TrustDomain: trustDomain, Namespace: node.Namespace, Node: node.Name}
	proof := identity.Proof{Method: identity.ProofRevoke, Request: id.URI(), Exporter: wish.Exporter}
	return identity.VerifyProof(key, proof, wish.Signature)
}

// gaveUp reports whether the machine requested its revocation and the Node is not revoked yet. A
// request that the machine did not sign is ignored.
func (r *nodeReconciler) gaveUp(ctx context.Context, node *v1alpha1.Node) bool {
	if node.Status.RevocationRequest == nil || node.Spec.DesiredState == v1alpha1.NodeRevoked {
		return false
	}
	if err := checkRevocationWish(node, r.trustDomain); err != nil {
		ctrl.LoggerFrom(ctx).Info("ignored a revocation request that the machine did not sign", "problem", err.Error())
		return false
	}
	return true
}

func (r *nodeReconciler) revoke(ctx context.Context, node *v1alpha1.Node) error {
	before := node.DeepCopy()
	node.Spec.DesiredState, node.Spec.RevocationReason = v1alpha1.NodeRevoked, node.Status.RevocationRequest.Reason
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, node, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("revoke node %q on request of its machine: %w", node.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("node revoked on request of its machine")
	return nil
}
