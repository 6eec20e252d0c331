package session

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// registry maps each Node to its session on this gateway. A session is in it from before its
// first read of the cluster until its end is recorded, so no event is missed.
type registry struct {
	mu       sync.Mutex
	slots    map[types.NamespacedName]*slot
	sessions int
	closed   bool
	// closing is closed together with the registry.
	closing chan struct{}
	// running counts RPC bodies and the goroutines they leave behind.
	running sync.WaitGroup
}

// slot is the state of one Node. It exists while a session of the Node opens or is open.
type slot struct {
	// turn holds one token: only one session of a Node opens at a time.
	turn    chan struct{}
	users   int
	current *session
}

func newRegistry() *registry {
	return &registry{slots: map[types.NamespacedName]*slot{}, closing: make(chan struct{})}
}

// track counts an activity that Service.Start must wait for. It returns false if the registry is
// closed.
func (r *registry) track() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.running.Add(1)
	return true
}

// spawn runs f in a goroutine that Start waits for. The caller must be counted itself.
func (r *registry) spawn(f func()) { r.running.Go(f) }

// acquire waits for the turn to open a session of key.
func (r *registry) acquire(ctx context.Context, key types.NamespacedName) (release func(), err error) {
	r.mu.Lock()
	s := r.slots[key]
	if s == nil {
		s = &slot{turn: make(chan struct{}, 1)}
		r.slots[key] = s
	}
	s.users++
	r.mu.Unlock()
	freeSlot := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		s.users--
		r.deleteIfUnused(key, s)
	}
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn; freeSlot() }, nil
	case <-r.closing:
		freeSlot()
		return nil, errDraining
	case <-ctx.Done():
		freeSlot()
		return nil, ctx.Err()
	}
}

// deleteIfUnused deletes an unused slot. The caller must hold mu.
func (r *registry) deleteIfUnused(key types.NamespacedName, s *slot) {
	if s.users == 0 && s.current == nil {
		delete(r.slots, key)
	}
}

// add makes s the session of its Node. The caller must have the turn. It returns errDraining if
// the registry is closed. first is true if the registry was empty before.
func (r *registry) add(s *session) (first bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false, errDraining
	}
	r.slots[s.key].current = s
	r.sessions++
	return r.sessions == 1, nil
}

// remove removes s unless a newer session has replaced it.
func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	nodeSlot := r.slots[s.key]
	if nodeSlot == nil || nodeSlot.current != s {
		return
	}
	nodeSlot.current = nil
	r.sessions--
	r.deleteIfUnused(s.key, nodeSlot)
}

// get returns the session of a Node, or nil.
func (r *registry) get(key types.NamespacedName) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[key]; s != nil {
		return s.current
	}
	return nil
}

// all returns the sessions.
func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, r.sessions)
	for _, s := range r.slots {
		if s.current != nil {
			list = append(list, s.current)
		}
	}
	return list
}

// count returns the number of sessions.
func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions
}

// leastRecentlyWritten returns the session with the least recently written Node.status, and the
// time of that write.
func (r *registry) leastRecentlyWritten() (oldest *session, written time.Time) {
	for _, s := range r.all() {
		if at := time.Unix(0, s.lastWrite.Load()); oldest == nil || at.Before(written) {
			oldest, written = s, at
		}
	}
	return oldest, written
}

// close makes the registry refuse new sessions and activities.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	close(r.closing)
}
