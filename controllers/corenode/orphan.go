package corenode

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/report"
)

// orphanAction is the action for a Node whose core Node is gone.
type orphanAction int

const (
	// orphanKeep keeps the Node.
	orphanKeep orphanAction = iota
	// orphanDelete deletes the Node: the next core Node of that name can pair without a person.
	orphanDelete
	// orphanRevoke revokes the Node, so that its name stays taken.
	orphanRevoke
)

// orphanActionFor returns the action for a desired state. A suspended Node must not return as a
// new, active Node just because the machine was restarted.
func orphanActionFor(desired v1alpha1.NodeDesiredState) orphanAction {
	switch desired {
	case v1alpha1.NodeRevoked:
		return orphanKeep
	case v1alpha1.NodeSuspended:
		return orphanRevoke
	default:
		return orphanDelete
	}
}

// EndsWithCoreNode reports whether a Node in a desired state is deleted when its core Node is gone.
func EndsWithCoreNode(desired v1alpha1.NodeDesiredState) bool {
	return orphanActionFor(desired) == orphanDelete
}

// cleanUpOrphan deletes or revokes a Node whose core Node is gone, and records an event.
func (r *reconciler) cleanUpOrphan(ctx context.Context, node *v1alpha1.Node) error {
	account := node.Spec.ServiceAccount
	reason := fmt.Sprintf("core node %q (UID %s) is gone", account.Node, account.NodeUID)
	action, outcome := "DeleteNode", "deleted"
	switch orphanActionFor(node.Spec.DesiredState) {
	case orphanKeep:
		return nil
	case orphanDelete:
		err := r.client.Delete(ctx, node, client.Preconditions{UID: &node.UID, ResourceVersion: &node.ResourceVersion})
		if err != nil {
			return wrapUnlessNotFound(err, "delete node %q, whose %s", node.Name, reason)
		}
	case orphanRevoke:
		action, outcome = "RevokeNode", "revoked, as it was Suspended"
		before := node.DeepCopy()
		node.Spec.DesiredState, node.Spec.RevocationReason = v1alpha1.NodeRevoked, reason
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := r.client.Patch(ctx, node, patch, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
			return wrapUnlessNotFound(err, "revoke node %q, whose %s", node.Name, reason)
		}
	}
	ctrl.LoggerFrom(ctx).Info("node deleted or revoked with its core node", "coreNode", account.Node, "coreNodeUID", account.NodeUID, "outcome", outcome)
	report.Emit(r.events, node, corev1.EventTypeNormal, v1alpha1.ReasonCoreNodeGone, action, reason+": this Node is "+outcome)
	return nil
}

// wrapUnlessNotFound wraps an error; it returns nil if the object is already gone.
func wrapUnlessNotFound(err error, format string, args ...any) error {
	if client.IgnoreNotFound(err) == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
