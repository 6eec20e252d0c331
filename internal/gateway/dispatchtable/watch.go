package dispatchtable

import (
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
)

// Upsert applies a state of a dispatch from the watch.
func (t *Table) Upsert(now Snapshot, d *v1alpha1.CapabilityDispatch) Effects {
	return t.call(now, func() { t.upsert(d) })
}

func (t *Table) upsert(d *v1alpha1.CapabilityDispatch) {
	e := t.entries[d.UID]
	if e == nil {
		if dispatch.Finished(d.Status) {
			return
		}
		e = &entry{d: d}
		t.entries[d.UID] = e
		if d.Status.Phase != v1alpha1.DispatchQueued {
			// The event is late, for a dispatch that this session has forgotten, or the dispatch
			// is another gateway's. A live read decides.
			t.refresh(e)
			return
		}
		t.queue.add(e)
	} else if apicall.IsNewerVersion(d.ResourceVersion, e.d.ResourceVersion) {
		e.d, e.leftWatch = d, false
	}
	t.reevaluate(e)
}

// reevaluate decides about an entry after its facts may have changed.
func (t *Table) reevaluate(e *entry) {
	if !e.offered && !e.busy && !e.settled && e.result == nil {
		t.admit(e)
		return
	}
	t.advance(e)
}

// HandleLeft handles a dispatch that left the watch. The event does not show whether the dispatch
// is finished or deleted, so it is read live unless this session settled it.
func (t *Table) HandleLeft(now Snapshot, uid types.UID) Effects {
	return t.call(now, func() { t.handleLeft(uid) })
}

func (t *Table) handleLeft(uid types.UID) {
	e := t.entries[uid]
	if e == nil {
		return
	}
	e.leftWatch = true
	switch {
	case e.settled:
		delete(t.entries, uid)
	case !e.busy:
		t.refresh(e)
	}
}

// refresh starts a live read of a dispatch that left the watch without a write of this session.
func (t *Table) refresh(e *entry) { t.start(e, &Read{Dispatch: RefOf(e.d), entry: e}) }

// HandleRead stores the result of a Read and continues with its dispatch. err is mailbox.ErrDeleted
// if the dispatch does not exist any more.
func (t *Table) HandleRead(now Snapshot, r *Read, live *v1alpha1.CapabilityDispatch, err error) Effects {
	return t.call(now, func() {
		if r.entry == nil {
			t.handleReadForResult(r, live, err)
			return
		}
		t.handleRefreshed(r.entry, live, err)
	})
}

func (t *Table) handleRefreshed(e *entry, live *v1alpha1.CapabilityDispatch, err error) {
	e.busy = false
	switch {
	case errors.Is(err, mailbox.ErrDeleted):
		t.handleDeleted(e)
		return
	case err != nil:
		return // The session is ending.
	}
	e.leftWatch = dispatch.Finished(live.Status)
	if apicall.IsNewerVersion(live.ResourceVersion, e.d.ResourceVersion) {
		e.d = live
	}
	t.reevaluate(e)
	t.offer()
}

// handleDeleted marks a deleted dispatch as settled. It sends Settled for a result, and Cancel for
// an offer.
func (t *Table) handleDeleted(e *entry) {
	t.debugDispatch("dispatch deleted", e.d)
	t.queue.remove(e)
	e.leftWatch = true
	if e.result != nil {
		t.send(settledMessage(RefOf(e.d)))
	} else if e.offered {
		t.sendCancel(e)
	}
	t.markSettled(e)
}
