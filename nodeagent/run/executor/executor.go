// Package executor runs dispatches: it journals an offer, runs its capability once under its
// deadline, and journals the outcome. Each step is on disk before it is reported.
package executor

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

// Offer is a dispatch that a gateway offers to the machine.
type Offer struct {
	Dispatch   journal.Ref
	Capability string
	// Input is a JSON object; empty means {}.
	Input json.RawMessage
	// Timeout is the maximum run time.
	Timeout time.Duration
	// Expires is the time by which the run must have started, in the gateway's clock.
	Expires time.Time
	// MaxOutputBytes bounds the output that is kept.
	MaxOutputBytes int
	RequestedBy    string
}

// Sink receives the events that were journaled. Its methods may block for as long as a session is
// slow; they return once the session has ended.
type Sink interface {
	// Accepted reports that the offer is on disk.
	Accepted(dispatch journal.Ref)
	// Asked reports that a person has been asked since that time, and that this is on disk.
	Asked(dispatch journal.Ref, user string, since time.Time)
	// Allowed reports that the person allowed the run, and that this is on disk.
	Allowed(dispatch journal.Ref)
	// Progress reports the progress of a running capability. It does not block.
	Progress(dispatch journal.Ref, percent int, message string)
	// Finished reports an outcome that is not settled yet. It is on disk, unless the journal had no
	// room for it.
	Finished(entry journal.Entry)
}

// Options are the options of an Executor; all fields are required.
type Options struct {
	Journal  *journal.Journal
	Registry *capability.Registry
	Policy   mediation.Policy
	// Now returns the gateway's time, as well as it is known.
	Now func() time.Time
	// Concurrency is the number of capabilities that run at once.
	Concurrency int
	// Grace is the time that a capability may take to return after its context ended.
	Grace time.Duration
	Log   *slog.Logger
}

// The causes with which a run's context ends.
var (
	errCancelled = errors.New("cancelled")
	errTimeout   = errors.New("it did not finish within its run time")
	errStopping  = errors.New("agent stops")
	errExpired   = errors.New("dispatch expired")
)

// Executor runs dispatches. Its methods are for concurrent use.
type Executor struct {
	Options
	slots chan struct{}
	runs  sync.WaitGroup // one per accepted dispatch
	calls sync.WaitGroup // one per capability that has not returned
	// repairs counts one while the journal cannot be written.
	repairs sync.WaitGroup

	mu              sync.Mutex
	sink            Sink
	sendsClearances bool          // the gateway of the session sends clearances
	linkChanged     chan struct{} // closed by the next Attach
	active          map[string]*run
	// repairing is true while the journal cannot be written and is retried.
	repairing bool
	stopping  chan struct{} // closed by Stop
}

// run is an accepted dispatch that has no outcome yet.
type run struct {
	Offer
	// target is the target of the run, and warning the warning that a person is shown with it.
	target, warning string
	// started is true when the run was journaled as started with its acceptance, and holds a slot.
	started bool
	// askedTime is the time at which an earlier process asked the person, who has not answered yet.
	askedTime time.Time
	clearance *clearance
	ctx       context.Context
	cancel    context.CancelCauseFunc
}

// New returns an Executor, and first gives each dispatch that an earlier process left unfinished in
// the journal its true outcome.
func New(o Options) (*Executor, error) {
	x := &Executor{
		Options:     o,
		slots:       make(chan struct{}, o.Concurrency),
		linkChanged: make(chan struct{}),
		active:      map[string]*run{},
		stopping:    make(chan struct{}),
	}
	return x, x.recoverJournal()
}

// recoverJournal finishes the dispatches that a crash interrupted. A dispatch that had not started
// does not start late, because the person at the machine does not expect it after a reboot. Only a
// question that has no answer yet is asked again.
func (x *Executor) recoverJournal() error {
	open, err := x.Journal.Unsettled()
	if err != nil {
		return err
	}
	for _, entry := range open {
		if entry.State == journal.Finished {
			continue
		}
		outcome := x.resumeQuestion(entry)
		if outcome == nil {
			continue
		}
		if err := x.Journal.Finish(entry.Dispatch.UID, *outcome); err != nil {
			return err
		}
		x.Log.Warn("dispatch was interrupted by a restart", "dispatch", entry.Dispatch.UID, "capability", entry.Capability, "execution", outcome.Execution)
	}
	return nil
}

// Attach sets the sink that receives the events; Detach ends that. The gateway behind the sink
// sends no clearances, so a run that a person allowed starts at once.
func (x *Executor) Attach(sink Sink) { x.attach(sink, false) }

// AttachWithClearances is Attach for a gateway that sends clearances.
func (x *Executor) AttachWithClearances(sink Sink) { x.attach(sink, true) }

// Detach removes the sink; the journal keeps everything until the next Attach.
func (x *Executor) Detach() { x.attach(nil, false) }

func (x *Executor) attach(sink Sink, clears bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sink, x.sendsClearances = sink, clears
	close(x.linkChanged)
	x.linkChanged = make(chan struct{})
}

func (x *Executor) currentLink() sessionLink {
	x.mu.Lock()
	defer x.mu.Unlock()
	return sessionLink{open: x.sink != nil, sendsClearances: x.sendsClearances, changed: x.linkChanged}
}

func (x *Executor) notifySink(event func(Sink)) {
	x.mu.Lock()
	sink := x.sink
	x.mu.Unlock()
	if sink != nil {
		event(sink)
	}
}

// Stop accepts no more offers and cancels all runs. It waits until every outcome is journaled and
// every capability has returned, or until ctx ends. A capability that ignores its context ends with
// the process.
func (x *Executor) Stop(ctx context.Context) {
	x.mu.Lock()
	select {
	case <-x.stopping:
	default:
		close(x.stopping)
	}
	for _, r := range x.active {
		r.cancel(errStopping)
	}
	x.mu.Unlock()
	done := make(chan struct{})
	go func() {
		x.runs.Wait()
		x.calls.Wait()
		x.repairs.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func (x *Executor) isStopping() bool {
	select {
	case <-x.stopping:
		return true
	default:
		return false
	}
}

// registerRun registers a run, unless the executor stops.
func (x *Executor) registerRun(offer Offer, target, warning string) *run {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.isStopping() {
		return nil
	}
	r := &run{Offer: offer, target: target, warning: warning, clearance: newClearance(StageAsk)}
	// The context belongs to the executor and not to the session of the offer: a run outlives
	// sessions.
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	x.active[offer.Dispatch.UID] = r
	x.runs.Add(1)
	return r
}

func (x *Executor) unregisterRun(r *run) {
	r.cancel(nil)
	x.mu.Lock()
	delete(x.active, r.Dispatch.UID)
	x.mu.Unlock()
	x.runs.Done()
}

func (x *Executor) lookupActive(uid string) *run {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.active[uid]
}
