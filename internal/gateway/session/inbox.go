package session

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// inbox carries news of the informers to one session without ever blocking them. Only
// the newest state of each object is kept, so it is never larger than what the Node has.
type inbox struct {
	// wake has a value while there is news.
	wake chan struct{}

	mu         sync.Mutex
	node       *v1alpha1.Node
	nodeGone   bool
	dispatches map[types.UID]*v1alpha1.CapabilityDispatch
	// left holds dispatches that left the watch: finished or deleted, the event does not say.
	left    map[types.UID]struct{}
	refresh bool
	drain   bool
}

// news is what an inbox held.
type news struct {
	node       *v1alpha1.Node
	nodeGone   bool
	dispatches map[types.UID]*v1alpha1.CapabilityDispatch
	left       map[types.UID]struct{}
	// refresh asks to write the time of the last heartbeat, drain to send the machine away.
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

// rouse is called with the lock held.
func (b *inbox) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take empties the inbox.
func (b *inbox) take() news {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := news{node: b.node, nodeGone: b.nodeGone, dispatches: b.dispatches, left: b.left, refresh: b.refresh, drain: b.drain}
	b.node, b.nodeGone, b.dispatches, b.left = nil, false, nil, nil
	b.refresh, b.drain = false, false
	return n
}
