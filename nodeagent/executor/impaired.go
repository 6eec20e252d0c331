package executor

import (
	"errors"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/journal"
)

const (
	// repairEvery is how often a journal that could not be written is tried again.
	repairEvery = 5 * time.Second
	// repairBytes is the room that it must have then: for the outcome of a dispatch.
	repairBytes = 512 << 10
)

// impaired notes that the journal cannot be written: the machine declares that it can run nothing,
// and why, until the journal can be written again.
func (x *Executor) impaired(cause error) {
	if errors.Is(cause, journal.ErrFull) || errors.Is(cause, journal.ErrState) || errors.Is(cause, journal.ErrUnknown) {
		return // the disk is well
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
