package controllers

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
	// indexUnfinishedNode indexes the unfinished dispatches by the name of their Node.
	indexUnfinishedNode = "mooring.unfinished.spec.nodeName"
	// indexLiveGateway indexes the Nodes with a live session by status.gateway.
	indexLiveGateway = "mooring.live.status.gateway"
	// indexCoreNode indexes the Nodes of in-cluster agents by the name of their core Node.
	indexCoreNode = "mooring.spec.serviceAccount.node"
)

func indexUnfinished(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.CapabilityDispatch{}, indexUnfinishedNode, func(o client.Object) []string {
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

// unfinishedOf lists the unfinished dispatches of a Node from the cache. They are shared with the
// cache and must not be changed.
func unfinishedOf(ctx context.Context, c client.Reader, node types.NamespacedName) ([]v1alpha1.CapabilityDispatch, error) {
	list := &v1alpha1.CapabilityDispatchList{}
	err := c.List(ctx, list, client.InNamespace(node.Namespace), client.MatchingFields{indexUnfinishedNode: node.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("list unfinished dispatches of node %q: %w", node.Name, err)
	}
	return list.Items, nil
}

// hasUnfinished reports whether a Node has an unfinished dispatch; reader must read live.
func hasUnfinished(ctx context.Context, reader client.Reader, node types.NamespacedName) (bool, error) {
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

func indexLiveNodes(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Node{}, indexLiveGateway, func(o client.Object) []string {
		if node, ok := o.(*v1alpha1.Node); ok && liveGateway(node) != "" {
			return []string{liveGateway(node)}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index nodes: %w", err)
	}
	return nil
}

func indexCoreNodes(mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.Node{}, indexCoreNode, func(o client.Object) []string {
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

// nodesOnCoreNode lists from the cache the Nodes whose agents run on the core Node of that name.
func nodesOnCoreNode(ctx context.Context, c client.Reader, core string) ([]v1alpha1.Node, error) {
	list := &v1alpha1.NodeList{}
	if err := c.List(ctx, list, client.MatchingFields{indexCoreNode: core}); err != nil {
		return nil, fmt.Errorf("list nodes on core node %q: %w", core, err)
	}
	return list.Items, nil
}

// liveGateway returns the gateway of the live session of a Node; "" if there is no live session.
func liveGateway(node *v1alpha1.Node) string {
	if !dispatch.SessionOf(node).Live() {
		return ""
	}
	return node.Status.Gateway
}
