package dispatchtable

import (
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// Effects are what a session must do after a call of its Table.
type Effects struct {
	// Messages are for the machine, in order.
	Messages []*gatewayv1.StreamNodeEventsResponse
	// Jobs are calls of the API server. The session passes the result of each to the Table.
	Jobs []Job
	// WakeAt is the local time by which the session must call Tick; the zero time for no alarm.
	WakeAt time.Time
}

// Job is a call of the API server: *Write, *Read, *Review or *Recheck.
type Job interface{ isJob() }

// Decision returns a status for d and whether to write it. It runs outside the calls of the Table,
// and again with the live dispatch after a conflict. node is the live Node of a Write with
// IfRecorded, and else nil.
type Decision func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool)

// Write writes the status that Decide returns. Its result is for Table.HandleWritten.
type Write struct {
	// Step names the write for metrics and the log.
	Step     string
	Dispatch *v1alpha1.CapabilityDispatch
	Decide   Decision
	// IfRecorded is true if Decide needs the live Node, and the write must not be made unless that
	// Node records this session.
	IfRecorded bool

	entry *entry
	then  func(error)
}

// Read reads a dispatch live. Its result is for Table.HandleRead.
type Read struct {
	Dispatch *gatewayv1.DispatchRef

	entry *entry // nil if the Table did not have the dispatch
	// result is the result of the machine for a dispatch that the Table did not have.
	result *dispatch.Result
}

// Review reviews the right of the requester. Its result is for Table.HandleReview.
type Review struct {
	Dispatch *v1alpha1.CapabilityDispatch

	entry *entry
}

// Recheck reads the Node live and, if ReviewDue says so when the job runs, reviews the right of the
// requester. The review is for Table.FinishRecheck. Then the session applies the Node and calls
// Table.Clear.
type Recheck struct {
	Dispatch *v1alpha1.CapabilityDispatch

	entry *entry
	stage gatewayv1.Clearance_Stage
}

func (*Write) isJob()   {}
func (*Read) isJob()    {}
func (*Review) isJob()  {}
func (*Recheck) isJob() {}

func (t *Table) send(m *gatewayv1.StreamNodeEventsResponse) {
	t.effects.Messages = append(t.effects.Messages, m)
}

// start starts a job for e. An entry has one job at a time.
func (t *Table) start(e *entry, job Job) {
	e.busy = true
	t.effects.Jobs = append(t.effects.Jobs, job)
}

// wakeBy sets the alarm to at, unless it is earlier.
func (t *Table) wakeBy(at time.Time) {
	if t.effects.WakeAt.IsZero() || at.Before(t.effects.WakeAt) {
		t.effects.WakeAt = at
	}
}

// wakeIn calls wakeBy with a time between one millisecond and one day from now.
func (t *Table) wakeIn(d time.Duration) {
	t.wakeBy(t.now.Local.Add(min(max(d, time.Millisecond), 24*time.Hour)))
}

// setAlarm sets the alarm for the next deadline of e.
func (t *Table) setAlarm(e *entry) {
	switch {
	case e.busy || e.settled || e.result != nil || dispatch.Finished(e.d.Status):
	case !e.offered:
		t.wakeIn(dispatch.ExpiryTime(e.d).Sub(t.now.Server))
	default:
		t.wakeIn(e.overdueAt(t.ReportGrace).Sub(t.now.Server))
	}
}
