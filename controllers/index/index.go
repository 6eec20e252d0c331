// Package index finds Nodes and dispatches by their relations to other objects.
package index

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

const (
	// unfinishedNodeField indexes the unfinished dispatches by the name of their Node.
	unfinishedNodeField = "mooring.unfinished.spec.nodeName"
	// LiveGatewayField indexes the Nodes with a live session by status.gateway.
	LiveGatewayField = "mooring.live.status.gateway"
	// coreNodeField indexes the Nodes of in-cluster agents by the name of their core Node.
	coreNodeField = "mooring.spec.serviceAccount.node"
)

// AddUnfinished adds the index for Unfinished.
func AddUnfinished(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.CapabilityDispatch{}, unfinishedNodeField, func(o client.Object) []string {
		if d, ok := o.(*v1alpha1.CapabilityDispatch); ok && !dispatch.Finished(d.Status) {
			return []string{d.Spec.NodeName}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index dispatches: %w", err)
	}
	return nil
}

// Unfinished lists the unfinished dispatches of a Node from the cache. They are shared with the
// cache and must not be changed.
func Unfinished(ctx context.Context, c client.Reader, node types.NamespacedName) ([]v1alpha1.CapabilityDispatch, error) {
	list := &v1alpha1.CapabilityDispatchList{}
	err := c.List(ctx, list, client.InNamespace(node.Namespace), client.MatchingFields{unfinishedNodeField: node.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list unfinished dispatches of node %q: %w", node.Name, err)
	}
	return list.Items, nil
}

// HasUnfinished reports whether a Node has an unfinished dispatch; reader must read live.
func HasUnfinished(ctx context.Context, reader client.Reader, node types.NamespacedName) (bool, error) {
	selectors := []fields.Selector{fields.OneTermEqualSelector("spec.nodeName", node.Name)}
	for _, phase := range dispatch.TerminalPhases() {
		selectors = append(selectors, fields.OneTermNotEqualSelector("status.phase", string(phase)))
	}
	list := &v1alpha1.CapabilityDispatchList{}
	err := reader.List(ctx, list, client.InNamespace(node.Namespace),
		client.MatchingFieldsSelector{Selector: fields.AndSelectors(selectors...)}, client.Limit(1))
	if err != nil {
		return false, fmt.Errorf("list unfinished dispatches of node %q: %w", node.Name, err)
	}
	return len(list.Items) > 0 || list.Continue != "", nil
}

// AddLiveNodes adds the index of LiveGatewayField.
func AddLiveNodes(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Node{}, LiveGatewayField, func(o client.Object) []string {
		if node, ok := o.(*v1alpha1.Node); ok && LiveGateway(node) != "" {
			return []string{LiveGateway(node)}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index nodes: %w", err)
	}
	return nil
}

// AddCoreNodes adds the index for NodesOnCoreNode.
func AddCoreNodes(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Node{}, coreNodeField, func(o client.Object) []string {
		if node, ok := o.(*v1alpha1.Node); ok && node.Spec.ServiceAccount != nil {
			return []string{node.Spec.ServiceAccount.Node}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index nodes by core node: %w", err)
	}
	return nil
}

// NodesOnCoreNode lists from the cache the Nodes whose agents run on the core Node of that name.
func NodesOnCoreNode(ctx context.Context, c client.Reader, core string) ([]v1alpha1.Node, error) {
	list := &v1alpha1.NodeList{}
	if err := c.List(ctx, list, client.MatchingFields{coreNodeField: core}); err != nil {
		return nil, fmt.Errorf("list nodes on core node %q: %w", core, err)
	}
	return list.Items, nil
}

// LiveGateway returns the gateway of the live session of a Node; "" if there is no live session.
func LiveGateway(node *v1alpha1.Node) string {
	if !dispatch.SessionOf(node).Live() {
		return ""
	}
	return node.Status.Gateway
}
