package dispatchtable

import (
	"errors"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
)

// write starts a job that calls decide and writes the status. then is called with its error, unless
// the dispatch was deleted.
func (t *Table) write(e *entry, step string, decide mailbox.Decision, then func(error)) {
	t.start(e, &Write{Step: step, Dispatch: e.d, entry: e, then: then,
		Decide: func(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
			return decide(d, now)
		}})
}

// writeIfRecorded is like write, but the status is only written if the live Node still records this
// session.
func (t *Table) writeIfRecorded(e *entry, step string, decide Decision, then func(error)) {
	t.start(e, &Write{Step: step, Dispatch: e.d, Decide: decide, IfRecorded: true, entry: e, then: then})
}

// HandleWritten stores the result of a Write and continues with its dispatch. err is
// mailbox.ErrDeleted if the dispatch was deleted.
func (t *Table) HandleWritten(now Snapshot, w *Write, stored *v1alpha1.CapabilityDispatch, err error) Effects {
	return t.call(now, func() { t.handleWritten(w.entry, stored, err, w.then) })
}

func (t *Table) handleWritten(e *entry, stored *v1alpha1.CapabilityDispatch, err error, then func(error)) {
	e.busy = false
	if errors.Is(err, mailbox.ErrDeleted) {
		t.handleDeleted(e)
		return
	}
	switch {
	case err == nil:
		e.refusals, e.retryAt = 0, time.Time{}
	case !t.now.Cancelled:
		t.log().Error(err, "cannot write the status of a dispatch", "dispatch", e.d.Name)
		t.postpone(e)
	}
	if stored != nil && apicall.IsNewerVersion(stored.ResourceVersion, e.d.ResourceVersion) {
		e.d = stored
	}
	then(err)
	switch {
	case e.leftWatch && e.settled:
		delete(t.entries, e.d.UID)
	case e.leftWatch && !e.busy && !dispatch.Finished(e.d.Status):
		t.refresh(e) // The dispatch left the watch while a worker wrote it.
	}
}
