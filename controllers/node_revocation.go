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

// checkRevocationWish decides, without believing the gateway that passed it on, whether the
// machine of the Node itself wishes to be revoked: its key (the pin or the next one) signed so.
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

// gaveUp reports whether the machine gave up its identity and the Node does not say so yet. A
// wish that the machine did not sign changes nothing.
func (r *nodeReconciler) gaveUp(ctx context.Context, node *v1alpha1.Node) bool {
	if node.Status.RevocationRequest == nil || node.Spec.DesiredState == v1alpha1.NodeRevoked {
		return false
	}
	if err := checkRevocationWish(node, r.trustDomain); err != nil {
		ctrl.LoggerFrom(ctx).Info("a wish to revoke this node is not of its machine: do not trust the gateway that wrote it", "problem", err.Error())
		return false
	}
	return true
}

func (r *nodeReconciler) revoke(ctx context.Context, node *v1alpha1.Node) error {
	before := node.DeepCopy()
	node.Spec.DesiredState, node.Spec.RevocationReason = v1alpha1.NodeRevoked, node.Status.RevocationRequest.Reason
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, node, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("revoke node %q on its own wish: %w", node.Name, err)
	}
	ctrl.LoggerFrom(ctx).Info("node revoked on its own wish")
	return nil
}
