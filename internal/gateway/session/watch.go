package session

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// watch routes the events of both informers to the sessions. It returns when both have synced.
// The cache owns their goroutines.
func (s *Service) watch(ctx context.Context) error {
	nodes, err := s.addHandler(ctx, &v1alpha1.Node{}, toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { s.handleNodeEvent(obj) },
		UpdateFunc: func(_, obj any) { s.handleNodeEvent(obj) },
		DeleteFunc: s.handleNodeDeleted,
	})
	if err != nil {
		return err
	}
	dispatches, err := s.addHandler(ctx, &v1alpha1.CapabilityDispatch{}, toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { s.handleDispatchEvent(obj) },
		UpdateFunc: func(_, obj any) { s.handleDispatchEvent(obj) },
		DeleteFunc: s.handleDispatchLeft,
	})
	if err != nil {
		return err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), nodes.HasSynced, dispatches.HasSynced) {
		return ctx.Err()
	}
	return nil
}

func (s *Service) addHandler(ctx context.Context, kind client.Object, handler toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := s.Cache.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
	reg, err := informer.AddEventHandler(handler)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
	return reg, nil
}

func (s *Service) handleNodeEvent(obj any) {
	node, ok := obj.(*v1alpha1.Node)
	if !ok {
		return
	}
	key := client.ObjectKeyFromObject(node)
	s.watchLag.observe(key, node.ResourceVersion)
	if sess := s.registry.get(key); sess != nil {
		sess.inbox.putNode(node, false)
	}
}

func (s *Service) handleNodeDeleted(obj any) {
	node, ok := lastKnownState[*v1alpha1.Node](obj)
	if !ok {
		return
	}
	if sess := s.registry.get(client.ObjectKeyFromObject(node)); sess != nil {
		sess.inbox.putNode(node, true)
	}
}

func (s *Service) handleDispatchEvent(obj any) {
	if d, ok := obj.(*v1alpha1.CapabilityDispatch); ok {
		if sess := s.registry.get(nodeOf(d)); sess != nil {
			sess.inbox.putDispatch(d)
		}
	}
}

func (s *Service) handleDispatchLeft(obj any) {
	if d, ok := lastKnownState[*v1alpha1.CapabilityDispatch](obj); ok {
		if sess := s.registry.get(nodeOf(d)); sess != nil {
			sess.inbox.putLeftDispatch(d.UID)
		}
	}
}

func nodeOf(d *v1alpha1.CapabilityDispatch) types.NamespacedName {
	return types.NamespacedName{Namespace: d.Namespace, Name: d.Spec.NodeName}
}

// lastKnownState returns the last known state of an object that left a watch.
func lastKnownState[T any](obj any) (T, bool) {
	if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	object, ok := obj.(T)
	return object, ok
}
