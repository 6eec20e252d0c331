package controllers

import (
	"context"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// elsewhere keeps an in-cluster agent from a second identity: what its ServiceAccount has on its
// core Node under another name, or in another fleet, from before the rule was changed, has to go
// first. A revoked one too, else a changed rule would let the machine in again.
func (r *pairingRequestReconciler) elsewhere(ctx context.Context, request *v1alpha1.PairingRequest) (again bool, refused *refusal, err error) {
	account := request.Spec.ServiceAccount
	if account == nil {
		return false, nil, nil
	}
	nodes, err := nodesOnCore(ctx, r.client, account.Node)
	if err != nil {
		return false, nil, err
	}
	for i := range nodes {
		node := &nodes[i]
		switch {
		case !sameAgent(node, request), node.Namespace == request.Namespace && node.Name == request.Spec.NodeName:
		case leaving(node, request):
			again = true
		default:
			return false, refuse(v1alpha1.ReasonNameTaken, "ServiceAccount %s/%s on core node %q is Node %q of fleet %q: delete that one, then the agent can pair as %q",
				account.Namespace, account.Name, account.Node, node.Name, node.Namespace, request.Spec.NodeName), nil
		}
	}
	return again, nil, nil
}

// sameAgent reports whether a Node is of the account and the core Node, by name, of a request.
func sameAgent(node *v1alpha1.Node, request *v1alpha1.PairingRequest) bool {
	had, has := node.Spec.ServiceAccount, request.Spec.ServiceAccount
	return had != nil && has != nil && had.Namespace == has.Namespace && had.Name == has.Name && had.Node == has.Node
}

// leaving reports whether a Node only has to be waited for: it is being deleted, or will be with
// a former core Node of the same name.
func leaving(node *v1alpha1.Node, request *v1alpha1.PairingRequest) bool {
	if !node.DeletionTimestamp.IsZero() {
		return true
	}
	return sameAgent(node, request) && node.Spec.ServiceAccount.NodeUID != request.Spec.ServiceAccount.NodeUID &&
		partingOf(node.Spec.DesiredState) == partingDelete
}
