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

	mu         sync.Mutex
	node       *v1alpha1.Node
	nodeGone   bool
	dispatches map[types.UID]*v1alpha1.CapabilityDispatch
	// left holds dispatches that left the watch. They are finished or deleted; the event does not
	// distinguish the two.
	left    map[types.UID]struct{}
	refresh bool
	drain   bool
}

// news holds the contents that were taken from an inbox.
type news struct {
	node       *v1alpha1.Node
	nodeGone   bool
	dispatches map[types.UID]*v1alpha1.CapabilityDispatch
	left       map[types.UID]struct{}
	// refresh requests a write of the time of the last heartbeat. drain requests that the machine
	// reconnects to another gateway.
	refresh, drain bool
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1)}
}

func (b *inbox) putNode(node *v1alpha1.Node, gone bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.node, b.nodeGone = node, gone
	b.rouse()
}

func (b *inbox) putDispatch(d *v1alpha1.CapabilityDispatch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dispatches == nil {
		b.dispatches = map[types.UID]*v1alpha1.CapabilityDispatch{}
	}
	b.dispatches[d.UID] = d
	delete(b.left, d.UID)
	b.rouse()
}

func (b *inbox) putLeft(uid types.UID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == nil {
		b.left = map[types.UID]struct{}{}
	}
	b.left[uid] = struct{}{}
	delete(b.dispatches, uid)
	b.rouse()
}

func (b *inbox) putRefresh() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh = true
	b.rouse()
}

func (b *inbox) putDrain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drain = true
	b.rouse()
}

// rouse wakes the session. The caller must hold mu.
func (b *inbox) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take empties the inbox and returns its contents.
func (b *inbox) take() news {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := news{node: b.node, nodeGone: b.nodeGone, dispatches: b.dispatches, left: b.left, refresh: b.refresh, drain: b.drain}
	b.node, b.nodeGone, b.dispatches, b.left = nil, false, nil, nil
	b.refresh, b.drain = false, false
	return n
}
