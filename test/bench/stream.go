package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/sim"
)

const (
	// streamWorkers is the number of workers that create the dispatches of a stream.
	streamWorkers = 8
	// streamTimeout is longer than every outage here, so that only a loss prevents the success of a
	// dispatch.
	streamTimeout = 3600
)

// dispatchStream creates dispatches at a given rate, each for a random machine of a crowd.
type dispatchStream struct {
	cancel context.CancelFunc
	group  *errgroup.Group

	mu      sync.Mutex
	created []*v1alpha1.CapabilityDispatch
}

// startStream starts to create total dispatches that count their runs, perSecond each second. The
// caller must call wait.
func (c *crowdSystem) startStream(ctx context.Context, total, perSecond int) *dispatchStream {
	ctx, cancel := context.WithCancel(ctx)
	st := &dispatchStream{cancel: cancel}
	st.group, ctx = errgroup.WithContext(ctx)
	st.group.SetLimit(streamWorkers)
	machines := c.machines()
	st.group.Go(func() error {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for range total {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			d := newDispatch(machines[rand.N(len(machines))], sim.CountCapability)
			d.Spec.TimeoutSeconds = streamTimeout
			st.group.Go(func() error {
				if err := c.client.Create(ctx, d); err != nil {
					return fmt.Errorf("create a dispatch: %w", err)
				}
				st.mu.Lock()
				defer st.mu.Unlock()
				st.created = append(st.created, d)
				return nil
			})
		}
		return nil
	})
	return st
}

func (st *dispatchStream) count() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.created)
}

// awaitCreated waits until want dispatches are created.
func (st *dispatchStream) awaitCreated(ctx context.Context, want int) error {
	for st.count() < want {
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return errors.Join(err, st.abandon())
		}
	}
	return nil
}

// wait returns all dispatches after the last one is created.
func (st *dispatchStream) wait() ([]*v1alpha1.CapabilityDispatch, error) {
	defer st.cancel()
	err := st.group.Wait()
	return st.created, err
}

// abandon ends the creation early.
func (st *dispatchStream) abandon() error {
	st.cancel()
	if err := st.group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// readOutcomes counts the current outcomes of the dispatches.
func (c *crowdSystem) readOutcomes(ctx context.Context, all []*v1alpha1.CapabilityDispatch) (o outcomes, err error) {
	var list v1alpha1.CapabilityDispatchList
	if err := c.client.List(ctx, &list); err != nil {
		return o, err
	}
	status := map[types.UID]v1alpha1.CapabilityDispatchStatus{}
	for _, d := range list.Items {
		status[d.UID] = d.Status
	}
	o.phases = counts{}
	for _, d := range all {
		now, there := status[d.UID]
		o.phases[fmt.Sprintf("%s/%s", now.Phase, now.Execution)]++
		switch {
		case !there || !dispatch.Terminal(now.Phase):
			o.open++
		case now.Phase == v1alpha1.DispatchSucceeded && now.Execution == v1alpha1.ExecutionFinished:
			o.succeeded++
		default:
			o.failed++
		}
	}
	return o, nil
}
