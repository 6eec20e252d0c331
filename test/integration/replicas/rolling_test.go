package replicas_test

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/simfleet"
)

// traffic creates dispatches for all machines in turn; some of them run for a while.
type traffic struct {
	stop    context.CancelFunc
	done    sync.WaitGroup
	mu      sync.Mutex
	created []*v1alpha1.CapabilityDispatch
}

func startTraffic(f *fleet, every time.Duration) *traffic {
	tr := &traffic{}
	ctx, cancel := context.WithCancel(f.Context())
	tr.stop = cancel
	tr.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			lasts := time.Duration(0)
			if i%8 == 0 {
				lasts = 1500 * time.Millisecond
			}
			d := f.createDispatch(f.Sim.Agents()[i%len(f.Sim.Agents())].Name, lasts)
			tr.mu.Lock()
			tr.created = append(tr.created, d)
			tr.mu.Unlock()
		}
	})
	f.Cleanup(func() { tr.end() })
	return tr
}

// end stops the traffic and returns the created dispatches.
func (tr *traffic) end() []*v1alpha1.CapabilityDispatch {
	tr.stop()
	tr.done.Wait()
	return tr.created
}

// Every gateway is drained and replaced under traffic, one after the other, as in a rolling update.
// It moves its machines to the other gateway and exits with 0, and every dispatch succeeds.
func TestRollingRestartUnderTraffic(t *testing.T) {
	t.Parallel()
	lockGateways(t)
	f := newFleet(t, system.NodeEndpoints(), simfleet.CISized(12, 200), nil)
	f.spreadAgents(3)
	seen := recordEvents(t, f.Namespace)
	tr := startTraffic(f, time.Second/time.Duration(simfleet.CISized(25, 60)))
	for i, gateway := range system.Gateways {
		other := system.Gateways[1-i].Name
		moving := len(f.onGateway(gateway.Name))
		began := time.Now()
		if err := gateway.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		f.Eventually("all on the other gateway", func() bool { return len(f.onGateway(other)) == len(f.Sim.Agents()) })
		moved := time.Since(began)
		code, err := gateway.Wait(f.BoundedContext())
		t.Logf("drain of %s: %d machines moved after %s, process ended %d after %s", gateway.Name, moving, moved.Round(10*time.Millisecond), code, time.Since(began).Round(10*time.Millisecond))
		if err != nil || code != 0 {
			t.Errorf("%s ended with %d, %v", gateway.Name, code, err)
		}
		startGateway(t, i)
	}
	asked := tr.end()
	f.checkRanOnce(asked)
	var slowest []time.Duration
	for _, d := range asked {
		s := f.AwaitEnded(d)
		slowest = append(slowest, s.Status.CompletedTime.Sub(s.CreationTimestamp.Time))
	}
	slices.Sort(slowest)
	f.Eventually("every write to be seen", func() bool { _, _, _, ended := seen.counts(); return ended >= len(asked) })
	_, created, dispatched, ended := seen.counts()
	t.Logf("%d dispatches, 0 failed: %d writes were %d creations, %d ends, %d on the way; whole seconds to the end: half %s, all %s",
		len(asked), created+ended+dispatched, created, ended, dispatched, slowest[len(slowest)/2], slowest[len(slowest)-1])
	if created != len(asked) || ended != len(asked) {
		t.Errorf("%d creations and %d ends of %d dispatches", created, ended, len(asked))
	}
	// Claims and Dispatched are written for dispatches that were created while their machine was
	// away, or that lasted.
	if dispatched > 2*len(asked) {
		t.Errorf("%d writes on the way of %d dispatches", dispatched, len(asked))
	}
	var stored v1alpha1.CapabilityDispatchList
	if err := system.Client.List(t.Context(), &stored, client.InNamespace(f.Namespace)); err != nil || len(stored.Items) != len(asked) {
		t.Errorf("%d dispatches are there, %d were asked for: %v", len(stored.Items), len(asked), err)
	}
}
