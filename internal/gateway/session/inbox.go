package session

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// inbox passes events of the informers to one session without ever blocking the informers. It
// keeps only the newest state of each object, so its size is bounded by the objects of the Node.
type inbox struct {
	// wake has a value while the inbox is not empty.
	wake chan struct{}

	mu          sync.Mutex
	node        *v1alpha1.Node
	nodeDeleted bool
	dispatches  map[types.UID]*v1alpha1.CapabilityDispatch
	// leftDispatches holds dispatches that left the watch. They are finished or deleted; the event
	// does not distinguish the two.
	leftDispatches map[types.UID]struct{}
	refresh        bool
	drain          bool
}

// informerEvents holds the contents that were taken from an inbox.
type informerEvents struct {
	node           *v1alpha1.Node
	nodeDeleted    bool
	dispatches     map[types.UID]*v1alpha1.CapabilityDispatch
	leftDispatches map[types.UID]struct{}
	// refresh requests a write of the time of the last heartbeat. drain requests that the machine
	// reconnects to another gateway.
	refresh, drain bool
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1)}
}

func (b *inbox) putNode(node *v1alpha1.Node, deleted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.node, b.nodeDeleted = node, deleted
	b.notify()
}

func (b *inbox) putDispatch(d *v1alpha1.CapabilityDispatch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dispatches == nil {
		b.dispatches = map[types.UID]*v1alpha1.CapabilityDispatch{}
	}
	b.dispatches[d.UID] = d
	delete(b.leftDispatches, d.UID)
	b.notify()
}

func (b *inbox) putLeftDispatch(uid types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.leftDispatches == nil {
		b.leftDispatches = map[types.UID]struct{}{}
	}
	b.leftDispatches[uid] = struct{}{}
	delete(b.dispatches, uid)
	b.notify()
}

func (b *inbox) putRefresh() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh = true
	b.notify()
}

func (b *inbox) putDrain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drain = true
	b.notify()
}

// notify wakes the session. The caller must hold mu.
func (b *inbox) notify() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take empties the inbox and returns its contents.
func (b *inbox) take() informerEvents {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := informerEvents{node: b.node, nodeDeleted: b.nodeDeleted, dispatches: b.dispatches, leftDispatches: b.leftDispatches, refresh: b.refresh, drain: b.drain}
	b.node, b.nodeDeleted, b.dispatches, b.leftDispatches = nil, false, nil, nil
	b.refresh, b.drain = false, false
	return n
}
