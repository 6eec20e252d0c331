package executor

import (
	"context"
	"errors"
	"sync"

	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

// Stage is the point up to which a mediated dispatch may proceed.
type Stage int

// The stages, in order.
const (
	// StageHold means that the person is not asked and nothing starts.
	StageHold Stage = iota
	// StageAsk means that the person may be asked; after the person allows it, the run waits.
	StageAsk
	// StageStart means that the person allowed the run and it may start.
	StageStart
)

// String returns the name of the stage, for the log.
func (s Stage) String() string {
	switch s {
	case StageAsk:
		return "ask"
	case StageStart:
		return "start"
	default:
		return "hold"
	}
}

// errHeld ends a question that the gateway withdrew.
var errHeld = errors.New("the gateway holds the dispatch")

// clearance is the newest stage of one run.
type clearance struct {
	mu      sync.Mutex
	stage   Stage
	changed chan struct{} // closed by the next set
}

func newClearance(stage Stage) *clearance {
	return &clearance{stage: stage, changed: make(chan struct{})}
}

func (c *clearance) set(stage Stage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stage = stage
	close(c.changed)
	c.changed = make(chan struct{})
}

// get returns the stage; changed is closed when it is out of date.
func (c *clearance) get() (stage Stage, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stage, c.changed
}

// withdrawStart withdraws a StageStart, which applies only to an answer that the gateway received.
func (c *clearance) withdrawStart() {
	if stage, _ := c.get(); stage == StageStart {
		c.set(StageAsk)
	}
}

// SetStage sets the stage up to which a dispatch may proceed. A started run goes on.
func (x *Executor) SetStage(dispatch journal.Ref, stage Stage) {
	debuglog.Dispatch(x.Log, "clearance received", dispatch.UID, "stage", stage.String())
	if r := x.lookupActive(dispatch.UID); r != nil {
		r.clearance.set(stage)
	}
}

// sessionLink is the state of the session, as the runs see it.
type sessionLink struct {
	open bool
	// sendsClearances is true when the gateway sends clearances.
	sendsClearances bool
	changed         <-chan struct{} // closed when the link changes
}

// awaitStage waits until the gateway clears the run for a stage. With a gateway that sends no
// clearances, the run may proceed as soon as a session is open.
func (x *Executor) awaitStage(ctx context.Context, r *run, want Stage) error {
	for {
		stage, cleared := r.clearance.get()
		link := x.currentLink()
		if stage >= want {
			return nil
		}
		if link.open && !link.sendsClearances {
			r.clearance.set(want)
			return nil
		}
		select {
		case <-cleared:
		case <-link.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// contextUntilHeld returns a context that ends with errHeld when the gateway holds the run.
func (r *run) contextUntilHeld(ctx context.Context) (context.Context, context.CancelFunc) {
	heldCtx, cancel := context.WithCancelCause(ctx)
	go func() {
		for {
			stage, changed := r.clearance.get()
			if stage == StageHold {
				cancel(errHeld)
				return
			}
			select {
			case <-changed:
			case <-heldCtx.Done():
				return
			}
		}
	}()
	return heldCtx, func() { cancel(nil) }
}
