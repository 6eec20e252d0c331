package main

import (
	"context"
	"os"
	"time"

	"github.com/mooring-dev/mooring/test/cluster"
)

// work holds the processor time of each round, in milliseconds per pairing.
type work struct{ store, others []float64 }

// workers holds the processes that do the work of a pairing: the API server with its store, and all
// others. The machines and the measuring client run in this process.
type workers struct{ store, others []int }

// workersOf returns the processes of a cluster, with others in addition to its components.
func workersOf(ctx context.Context, c *cluster.Cluster, others ...int) (workers, error) {
	components, err := c.PIDs(ctx)
	return workers{
		store:  []int{components[cluster.APIServer], components[cluster.Etcd]},
		others: append(others, components[cluster.CertManager], os.Getpid()),
	}, err
}

// during measures the processor time that the processes use while do runs.
func (w *work) during(by workers, pairings int, do func() error) error {
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
