// Package executor runs dispatches: it remembers an offer, runs its capability
// once under its deadline, and remembers the outcome, each before anybody is told.
package executor

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/journal"
	"github.com/mooring-dev/mooring/nodeagent/mediation"
)

// Offer is what a gateway asks the machine to run.
type Offer struct {
	Dispatch   journal.Ref
	Capability string
	// Input is a JSON object; empty means {}.
	Input json.RawMessage
	// Timeout is the run time allowed.
	Timeout time.Duration
	// Expires is when it must have started, in the gateway's clock.
	Expires time.Time
	// MaxOutputBytes bounds the output kept.
	MaxOutputBytes int
	RequestedBy    string
}

// Sink hears what was journaled. Its methods may block for as long as a session
// is slow; they return once it ended.
type Sink interface {
	// Accepted: the offer is on disk.
	Accepted(dispatch journal.Ref)
	// Asked: a person is asked since then; that is on disk.
	Asked(dispatch journal.Ref, user string, since time.Time)
	// Allowed: the person said yes; that is on disk.
	Allowed(dispatch journal.Ref)
	// Progress is how far a running capability says it came. It does not block.
	Progress(dispatch journal.Ref, percent int, message string)
	// Finished: the outcome is on disk (or was refused room there), not yet settled.
	Finished(entry journal.Entry)
}

// Options are what an Executor needs; all fields are required.
type Options struct {
	Journal  *journal.Journal
	Registry *capability.Registry
	Policy   mediation.Policy
	// Now is the gateway's time as well as it is known.
	Now func() time.Time
	// Concurrency is how many capabilities run at once.
	Concurrency int
	// Grace is how long a capability may take to return after it was told to stop.
	Grace time.Duration
	Log   *slog.Logger
}

// Why a run was told to stop.
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
	// repairs is one while the journal cannot be written.
	repairs sync.WaitGroup

	mu       sync.Mutex
	sink     Sink
	clears   bool          // the gateway of the session sends clearances
	relinked chan struct{} // closed by the next Attach
	active   map[string]*run
	// repairing: the journal could not be written, and is tried again.
	repairing bool
	stopping  chan struct{} // closed by Stop
}

// run is an accepted dispatch that has no outcome yet.
type run struct {
	Offer
	// target is what the run is about, warning what a person is shown beside it.
	target, warning string
	// begun: it was journaled as started when it was accepted, and holds a slot.
	begun bool
	// asked is when an earlier process asked the person, who has not answered yet.
	asked     time.Time
	clearance *clearance
	ctx       context.Context
	cancel    context.CancelCauseFunc
}

// New makes an Executor and settles with the past: what an earlier process left
// unfinished in the journal gets its truthful outcome now.
func New(o Options) (*Executor, error) {
	x := &Executor{
		Options:  o,
		slots:    make(chan struct{}, o.Concurrency),
		relinked: make(chan struct{}),
		active:   map[string]*run{},
		stopping: make(chan struct{}),
	}
	return x, x.recover()
}

// recover ends what a crash interrupted. What had not started is not started
// late: nobody at the machine expects yesterday's work after a reboot. Only a question that
// has no answer yet is asked again.
func (x *Executor) recover() error {
	open, err := x.Journal.Unsettled()
	if err != nil {
		return err
	}
	for _, entry := range open {
		if entry.State == journal.Finished {
			continue
		}
		outcome := x.askAgain(entry)
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

// Attach makes sink the receiver of events; Detach ends that. The gateway behind it sends no
// clearances: a run that a person allowed starts at once.
func (x *Executor) Attach(sink Sink) { x.attach(sink, false) }

// AttachClearing is Attach for a gateway that sends clearances.
func (x *Executor) AttachClearing(sink Sink) { x.attach(sink, true) }

// Detach: no session receives events until the next Attach; the journal keeps everything.
func (x *Executor) Detach() { x.attach(nil, false) }

func (x *Executor) attach(sink Sink, clears bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sink, x.clears = sink, clears
	close(x.relinked)
	x.relinked = make(chan struct{})
}

func (x *Executor) currentLink() link {
	x.mu.Lock()
	defer x.mu.Unlock()
	return link{open: x.sink != nil, clears: x.clears, changed: x.relinked}
}

func (x *Executor) tell(event func(Sink)) {
	x.mu.Lock()
	sink := x.sink
	x.mu.Unlock()
	if sink != nil {
		event(sink)
	}
}

// Stop takes no more offers, tells everything to stop, and waits until every
// outcome is written and every capability returned, or ctx ends: a capability that
// ignores everything dies with the process.
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

// begin notes a run unless the executor stops.
func (x *Executor) begin(offer Offer, target, warning string) *run {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.isStopping() {
		return nil
	}
	r := &run{Offer: offer, target: target, warning: warning, clearance: newClearance(StageAsk)}
	// Owned by the executor, not by the session that brought it: it outlives sessions.
	r.ctx, r.cancel = context.WithCancelCause(context.Background())
	x.active[offer.Dispatch.UID] = r
	x.runs.Add(1)
	return r
}

func (x *Executor) end(r *run) {
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
