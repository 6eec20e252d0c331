package dispatchtable

import (
	"cmp"
	"slices"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// queue holds the dispatches of one Node that wait for their offer, oldest first. Dispatches
// created in the same second are ordered by UID, so the order is the same on every replica.
type queue struct {
	waiting []*entry
}

func compare(a, b *v1alpha1.CapabilityDispatch) int {
	return cmp.Or(
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(a.UID, b.UID),
	)
}

func (q *queue) find(e *entry) (int, bool) {
	return slices.BinarySearchFunc(q.waiting, e, func(a, b *entry) int { return compare(a.d, b.d) })
}

// add inserts e in order. It does nothing if e is queued already.
func (q *queue) add(e *entry) {
	if at, found := q.find(e); !found {
		q.waiting = slices.Insert(q.waiting, at, e)
	}
}

// remove removes e if it is queued.
func (q *queue) remove(e *entry) {
	if at, found := q.find(e); found {
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
}

// first returns the oldest entry that is ready, or nil.
func (q *queue) first(ready func(*entry) bool) *entry {
	if at := slices.IndexFunc(q.waiting, ready); at >= 0 {
		return q.waiting[at]
	}
	return nil
}

// len returns the number of waiting entries.
func (q *queue) len() int { return len(q.waiting) }

// newest returns up to n of the entries that were created last, newest first.
func (q *queue) newest(n int) []*entry {
	n = min(max(n, 0), len(q.waiting))
	list := slices.Clone(q.waiting[len(q.waiting)-n:])
	slices.Reverse(list)
	return list
}

// oldestFirst returns a copy in order. The caller may remove entries while it iterates over the
// copy.
func (q *queue) oldestFirst() []*entry { return slices.Clone(q.waiting) }
