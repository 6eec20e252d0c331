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
	nodes, err := s.handle(ctx, &v1alpha1.Node{}, toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { s.nodeSeen(obj) },
		UpdateFunc: func(_, obj any) { s.nodeSeen(obj) },
		DeleteFunc: s.nodeLeft,
	})
	if err != nil {
		return err
	}
	dispatches, err := s.handle(ctx, &v1alpha1.CapabilityDispatch{}, toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { s.dispatchSeen(obj) },
		UpdateFunc: func(_, obj any) { s.dispatchSeen(obj) },
		DeleteFunc: s.dispatchLeft,
	})
	if err != nil {
		return err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), nodes.HasSynced, dispatches.HasSynced) {
		return ctx.Err()
	}
	return nil
}

func (s *Service) handle(ctx context.Context, kind client.Object, handler toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	informer, err := s.Cache.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
	registration, err := informer.AddEventHandler(handler)
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
	return registration, nil
}

func (s *Service) nodeSeen(obj any) {
	node, ok := obj.(*v1alpha1.Node)
	if !ok {
		return
	}
	key := client.ObjectKeyFromObject(node)
	s.freshness.saw(key, node.ResourceVersion)
	if held := s.registry.of(key); held != nil {
		held.inbox.putNode(node, false)
	}
}

func (s *Service) nodeLeft(obj any) {
	node, ok := last[*v1alpha1.Node](obj)
	if !ok {
		return
	}
	if held := s.registry.of(client.ObjectKeyFromObject(node)); held != nil {
		held.inbox.putNode(node, true)
	}
}

func (s *Service) dispatchSeen(obj any) {
	if d, ok := obj.(*v1alpha1.CapabilityDispatch); ok {
		if held := s.registry.of(nodeOf(d)); held != nil {
			held.inbox.putDispatch(d)
		}
	}
}

func (s *Service) dispatchLeft(obj any) {
	if d, ok := last[*v1alpha1.CapabilityDispatch](obj); ok {
		if held := s.registry.of(nodeOf(d)); held != nil {
			held.inbox.putLeft(d.UID)
		}
	}
}

func nodeOf(d *v1alpha1.CapabilityDispatch) types.NamespacedName {
	return types.NamespacedName{Namespace: d.Namespace, Name: d.Spec.NodeName}
}

// last returns the last known state of an object that left a watch.
func last[T any](obj any) (T, bool) {
	if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	object, ok := obj.(T)
	return object, ok
}
