package executor

import (
	"errors"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/journal"
)

const (
	// repairEvery is the interval at which a journal that could not be written is tried again.
	repairEvery = 5 * time.Second
	// repairBytes is the free space that such a journal must then have: enough for the outcome of a
	// dispatch.
	repairBytes = 512 << 10
)

// impaired handles a journal that cannot be written: until it can be written again, the machine
// declares that it can run nothing, with the reason.
func (x *Executor) impaired(cause error) {
	if errors.Is(cause, journal.ErrFull) || errors.Is(cause, journal.ErrState) || errors.Is(cause, journal.ErrUnknown) {
		return // the disk itself works
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.repairing || x.isStopping() {
		return
	}
	x.repairing = true
	x.Registry.SetImpairment("this machine cannot record what it runs: " + cause.Error())
	x.repairs.Go(x.repair)
}

// repair waits until the journal can be written.
func (x *Executor) repair() {
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		select {
		case <-x.stopping:
			return
		case <-tick.C:
		}
		err := x.Journal.Reserve(repairBytes)
		if err == nil {
			break
		}
		x.Log.Error("the journal still cannot be written; the machine runs nothing", "error", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.repairing = false
	x.Registry.SetImpairment("")
	x.Log.Info("the journal can be written again")
}
