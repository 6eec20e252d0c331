package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/sim"
)

// answerTimeout bounds one dispatch of a benchmark.
const answerTimeout = time.Minute

// machine names a Node.
type machine struct{ namespace, name string }

// caller creates dispatches and receives their terminal phases through one watch.
type caller struct {
	client   client.Client
	stop     context.CancelFunc
	done     chan struct{}
	watchErr error // valid after done

	mu      sync.Mutex
	waiting map[string]chan v1alpha1.DispatchPhase
}

func newCaller(ctx context.Context, c client.WithWatch) *caller {
	ctx, cancel := context.WithCancel(ctx)
	a := &caller{client: c, stop: cancel, done: make(chan struct{}), waiting: map[string]chan v1alpha1.DispatchPhase{}}
	ready := make(chan struct{})
	go func() {
		defer close(a.done)
		a.watchErr = sim.ListAndWatch(ctx, c, &v1alpha1.CapabilityDispatchList{}, a.handleDispatch, ready)
	}()
	select {
	case <-ready:
	case <-a.done:
	}
	return a
}

func (a *caller) close() {
	a.stop()
	<-a.done
}

func (a *caller) handleDispatch(d *v1alpha1.CapabilityDispatch) {
	if !dispatch.Terminal(d.Status.Phase) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if ended := a.waiting[d.Name]; ended != nil {
		ended <- d.Status.Phase
		delete(a.waiting, d.Name)
	}
}

// newDispatch returns a dispatch for a machine; it does not create it.
func newDispatch(to machine, capability string) *v1alpha1.CapabilityDispatch {
	return &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: to.namespace, Name: "b-" + rand.String(10)},
		Spec: v1alpha1.CapabilityDispatchSpec{NodeName: to.name, Capability: capability, Input: &v1alpha1.JSON{Raw: []byte(`{"text":"hi"}`)}}}
}

// timeDispatch returns the time from sending the creation of one dispatch to the watch event of its
// success.
func (a *caller) timeDispatch(ctx context.Context, to machine) (time.Duration, error) {
	d := newDispatch(to, "echo")
	ended := make(chan v1alpha1.DispatchPhase, 1)
	a.mu.Lock()
	a.waiting[d.Name] = ended
	a.mu.Unlock()
	began := time.Now()
	if err := a.client.Create(ctx, d); err != nil {
		return 0, err
	}
	select {
	case phase := <-ended:
		if phase != v1alpha1.DispatchSucceeded {
			return 0, fmt.Errorf("dispatch %s ended %s", d.Name, phase)
		}
		return time.Since(began), nil
	case <-time.After(answerTimeout):
		return 0, fmt.Errorf("dispatch %s did not end within %s", d.Name, answerTimeout)
	case <-a.done:
		return 0, fmt.Errorf("the watch of dispatches ended: %w", errors.Join(a.watchErr, ctx.Err()))
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
