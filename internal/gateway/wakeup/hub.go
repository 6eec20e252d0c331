// Package wakeup turns informer events of one kind into wake-ups of the calls that wait for one
// object of that kind.
package wakeup

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Hub implements toolscache.ResourceEventHandler. It carries no data: a woken call reads the cache,
// which the informer has updated before.
type Hub struct {
	mu      sync.Mutex
	waiters map[types.NamespacedName]map[chan struct{}]struct{}
}

// NewHub returns a Hub without subscribers.
func NewHub() *Hub {
	return &Hub{waiters: map[types.NamespacedName]map[chan struct{}]struct{}{}}
}

// Subscribe returns a channel that receives after every event of the object. Several events may
// cause one receive. The caller subscribes before it reads the object, and calls cancel at the end.
func (h *Hub) Subscribe(key types.NamespacedName) (events <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiters[key] == nil {
		h.waiters[key] = map[chan struct{}]struct{}{}
	}
	h.waiters[key][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters[key], ch)
		if len(h.waiters[key]) == 0 {
			delete(h.waiters, key)
		}
	}
}

// OnAdd wakes the waiters of an object.
func (h *Hub) OnAdd(obj any, _ bool) { h.notify(obj) }

// OnUpdate wakes the waiters of an object.
func (h *Hub) OnUpdate(_, obj any) { h.notify(obj) }

// OnDelete wakes the waiters of an object.
func (h *Hub) OnDelete(obj any) {
	if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	h.notify(obj)
}

func (h *Hub) notify(obj any) {
	object, ok := obj.(client.Object)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.waiters[client.ObjectKeyFromObject(object)] {
		select {
		case ch <- struct{}{}:
		default: // a wake-up is pending already
		}
	}
}
