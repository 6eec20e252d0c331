package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// answerTimeout bounds one dispatch of a benchmark.
const answerTimeout = time.Minute

// follow tells handle of every dispatch that a selection holds or gets, until ctx ends, with whose error it returns. An API
// server drops a watch whose client is slow for a moment, which a loaded machine always is: then it
// lists and watches again, as informers do. ready is closed after the first list.
func follow(ctx context.Context, c client.WithWatch, handle func(*v1alpha1.CapabilityDispatch), ready chan<- struct{}, selection ...client.ListOption) error {
	for ctx.Err() == nil {
		var list v1alpha1.CapabilityDispatchList
		if err := c.List(ctx, &list, selection...); err != nil {
			return fmt.Errorf("list dispatches: %w", err)
		}
		from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}}
		watching, err := c.Watch(ctx, &v1alpha1.CapabilityDispatchList{}, append(selection[:len(selection):len(selection)], from)...)
		if err != nil {
			return fmt.Errorf("watch dispatches: %w", err)
		}
		if ready != nil {
			close(ready)
			ready = nil
		}
		for i := range list.Items {
			handle(&list.Items[i])
		}
		for event := range watching.ResultChan() {
			if d, ok := event.Object.(*v1alpha1.CapabilityDispatch); ok && event.Type != watch.Deleted {
				handle(d)
			}
		}
		watching.Stop()
	}
	return ctx.Err()
}

// caller creates dispatches in one namespace and learns of their ends by one watch.
type caller struct {
	client    client.Client
	namespace string
	stop      context.CancelFunc
	done      chan struct{}
	problem   error // valid after done

	mu      sync.Mutex
	waiting map[string]chan v1alpha1.DispatchPhase
}

func newCaller(ctx context.Context, c client.WithWatch, namespace string) *caller {
	ctx, cancel := context.WithCancel(ctx)
	a := &caller{client: c, namespace: namespace, stop: cancel, done: make(chan struct{}), waiting: map[string]chan v1alpha1.DispatchPhase{}}
	ready := make(chan struct{})
	go func() {
		defer close(a.done)
		a.problem = follow(ctx, c, a.saw, ready, client.InNamespace(namespace))
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

func (a *caller) saw(d *v1alpha1.CapabilityDispatch) {
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

// call is the time from sending the creation of one dispatch to the news of its success.
func (a *caller) call(ctx context.Context, node string) (time.Duration, error) {
	d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: a.namespace, Name: "b-" + rand.String(10)},
		Spec: v1alpha1.CapabilityDispatchSpec{NodeName: node, Capability: "echo", Input: &v1alpha1.JSON{Raw: []byte(`{"text":"hi"}`)}}}
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
		return 0, fmt.Errorf("the watch of dispatches ended: %w", errors.Join(a.problem, ctx.Err()))
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// worker does with a plain client what a gateway and its agent do: sees a dispatch and saves its
// end with one status PUT.
type worker struct {
	client client.WithWatch
	// poll is how often it looks instead of watching; 0 watches.
	poll time.Duration
}

// run works for one node name of a namespace until ctx ends. ready is closed once it sees.
func (w *worker) run(ctx context.Context, namespace, node string, ready chan<- struct{}) error {
	if w.poll > 0 {
		close(ready)
		return w.polls(ctx, namespace, node)
	}
	var group sync.WaitGroup
	defer group.Wait()
	return follow(ctx, w.client, func(d *v1alpha1.CapabilityDispatch) {
		if d.Status.Phase == v1alpha1.DispatchQueued {
			group.Go(func() { w.settle(ctx, d.DeepCopy()) })
		}
	}, ready, client.InNamespace(namespace), client.MatchingFields{"spec.nodeName": node})
}

func (w *worker) polls(ctx context.Context, namespace, node string) error {
	tick := time.NewTicker(w.poll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		var list v1alpha1.CapabilityDispatchList
		if err := w.client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{"spec.nodeName": node, "status.phase": "Queued"}); err != nil {
			continue
		}
		for i := range list.Items {
			w.settle(ctx, &list.Items[i])
		}
	}
}

// settle writes what the gateway writes for a short dispatch. A failure shows as a dispatch that
// does not end.
func (w *worker) settle(ctx context.Context, d *v1alpha1.CapabilityDispatch) {
	at := time.Now()
	now, micro := metav1.NewTime(at), metav1.NewMicroTime(at)
	d.Status.Phase, d.Status.Execution = v1alpha1.DispatchSucceeded, v1alpha1.ExecutionFinished
	d.Status.Gateway, d.Status.Output = "plain", d.Spec.Input
	d.Status.DispatchedTime, d.Status.StartedTime, d.Status.CompletedTime = &micro, &micro, &micro
	d.Status.Conditions = []metav1.Condition{
		{Type: v1alpha1.ConditionDelivered, Status: metav1.ConditionTrue, Reason: "Accepted", LastTransitionTime: now},
		{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "Succeeded", LastTransitionTime: now},
	}
	_ = w.client.Status().Update(ctx, d)
}
