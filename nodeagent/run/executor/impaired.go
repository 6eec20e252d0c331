package executor

import (
	"errors"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

const (
	// repairInterval is the interval at which a journal that could not be written is tried again.
	repairInterval = 5 * time.Second
	// repairReserveBytes is the free space that such a journal must then have: enough for the
	// outcome of a dispatch.
	repairReserveBytes = 512 << 10
)

// declareImpaired handles a journal that cannot be written: until it can be written again, the
// machine declares that it can run nothing, with the reason.
func (x *Executor) declareImpaired(cause error) {
	if errors.Is(cause, journal.ErrFull) || errors.Is(cause, journal.ErrWrongState) || errors.Is(cause, journal.ErrNotFound) {
		return // the disk itself works
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.repairing || x.isStopping() {
		return
	}
	x.repairing = true
	x.Registry.SetImpairment("this machine cannot record what it runs: " + cause.Error())
	x.repairs.Go(x.awaitRepair)
}

// awaitRepair waits until the journal can be written.
func (x *Executor) awaitRepair() {
	tick := time.NewTicker(repairInterval)
	defer tick.Stop()
	for {
		select {
		case <-x.stopping:
			return
		case <-tick.C:
		}
		err := x.Journal.ReserveSpace(repairReserveBytes)
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
