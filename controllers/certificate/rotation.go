package certificate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/report"
)

// nextKeyUsed reports whether the machine has used its next key, which then has to become the pin.
func nextKeyUsed(node *v1alpha1.Node) bool {
	next, used := node.Spec.NextPublicKeySHA256, node.Status.Certificate
	return next != "" && used != nil && used.PublicKeySHA256 == next && node.Spec.DesiredState != v1alpha1.NodeRevoked
}

// movePin makes the next key the pin.
func (r *reconciler) movePin(ctx context.Context, node *v1alpha1.Node) error {
	if proven, err := r.specs.KeysProven(node); err != nil || !proven {
		return err // condition SpecUnproven shows the reason
	}
	before := node.DeepCopy()
	node.Spec.PublicKeySHA256, node.Spec.NextPublicKeySHA256 = node.Spec.NextPublicKeySHA256, ""
	if err := r.patchKeys(ctx, before, node); err != nil {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("pin moved to the next key")
	report.Emit(r.events, node, corev1.EventTypeNormal, v1alpha1.ReasonKeyRotated, "MovePin", "the next key was used and is the pin now")
	return nil
}

// storeNextKey stores a new key that the pinned key signed for as the next key, before a
// certificate is issued for it. It returns false if it changed the Node: the write is an event.
func (r *reconciler) storeNextKey(ctx context.Context, node *v1alpha1.Node, key string) (stored bool, err error) {
	if key == node.Spec.PublicKeySHA256 || key == node.Spec.NextPublicKeySHA256 {
		return true, nil
	}
	before := node.DeepCopy()
	node.Spec.NextPublicKeySHA256 = key
	return false, r.patchKeys(ctx, before, node)
}

// patchKeys writes new keys to a Node whose present keys are proven.
func (r *reconciler) patchKeys(ctx context.Context, before, node *v1alpha1.Node) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, node, patch, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		return fmt.Errorf("change the keys of node %q: %w", node.Name, err)
	}
	r.specs.MarkKeysWritten(node)
	return nil
}
