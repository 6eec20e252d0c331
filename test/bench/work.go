package main

import (
	"context"
	"os"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// processorUse holds the processor time of each round, in milliseconds per pairing.
type processorUse struct{ store, others []float64 }

// workerPIDs holds the processes that do the work of a pairing: the API server with its store, and all
// others. The machines and the measuring client run in this process.
type workerPIDs struct{ store, others []int }

// workerPIDsOf returns the processes of a cluster, with others in addition to its components.
func workerPIDsOf(ctx context.Context, c *controlplane.Cluster, others ...int) (workerPIDs, error) {
	components, err := c.PIDs(ctx)
	return workerPIDs{
		store:  []int{components[controlplane.APIServer], components[controlplane.Etcd]},
		others: append(others, components[controlplane.CertManager], os.Getpid()),
	}, err
}

// measure measures the processor time that the processes use while do runs.
func (w *processorUse) measure(by workerPIDs, pairings int, do func() error) error {
	used := func() (store, others time.Duration, err error) {
		if store, err = processorTime(by.store...); err == nil {
			others, err = processorTime(by.others...)
		}
		return store, others, err
	}
	store, others, err := used()
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	storeAfter, othersAfter, err := used()
	each := func(spent time.Duration) float64 { return float64(spent.Milliseconds()) / float64(pairings) }
	w.store, w.others = append(w.store, each(storeAfter-store)), append(w.others, each(othersAfter-others))
	return err
}
