package pairingrequest

import (
	"context"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/corenode"
	"github.com/mooring-dev/mooring/controllers/index"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
)

// findConflictingNode prevents a second identity of an in-cluster agent. Its ServiceAccount may
// already have a Node on its core Node, under another name or in another fleet since before the
// rule was changed. That Node must be deleted first, even if it is revoked: otherwise a changed
// rule would readmit the machine.
func (r *reconciler) findConflictingNode(ctx context.Context, s *scope) step.Outcome {
	request, account := s.request, s.request.Spec.ServiceAccount
	if account == nil {
		return step.Continue()
	}
	nodes, err := index.NodesOnCoreNode(ctx, r.client, account.Node)
	if err != nil {
		return step.Fail(err)
	}
	outcome := step.Continue()
	for i := range nodes {
		node := &nodes[i]
		switch {
		case !isSameAgent(node, request), node.Namespace == request.Namespace && node.Name == request.Spec.NodeName:
		case terminating(node, request):
			outcome = awaitTermination()
		default:
			return step.Refuse(status.Reasonf(v1alpha1.ReasonNameTaken, "ServiceAccount %s/%s on core node %q is Node %q of fleet %q: delete that one, then the agent can pair as %q",
				account.Namespace, account.Name, account.Node, node.Name, node.Namespace, request.Spec.NodeName))
		}
	}
	return outcome
}

// awaitTermination waits for a Node that is being deleted, or will be.
func awaitTermination() step.Outcome {
	return step.Wait(proof.GateRetryDelay, "a Node of the same name or agent is being deleted")
}

// isSameAgent reports whether a Node has the account and the core Node name of a request.
func isSameAgent(node *v1alpha1.Node, request *v1alpha1.PairingRequest) bool {
	nodeAccount, requestAccount := node.Spec.ServiceAccount, request.Spec.ServiceAccount
	return nodeAccount != nil && requestAccount != nil && nodeAccount.Namespace == requestAccount.Namespace && nodeAccount.Name == requestAccount.Name && nodeAccount.Node == requestAccount.Node
}

// terminating reports whether a Node will go without a person. Either it is being deleted, or it
// will be deleted with a former core Node of the same name.
func terminating(node *v1alpha1.Node, request *v1alpha1.PairingRequest) bool {
	if !node.DeletionTimestamp.IsZero() {
		return true
	}
	return isSameAgent(node, request) && node.Spec.ServiceAccount.NodeUID != request.Spec.ServiceAccount.NodeUID &&
		corenode.EndsWithCoreNode(node.Spec.DesiredState)
}
