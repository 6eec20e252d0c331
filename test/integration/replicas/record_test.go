package replicas_test

import (
	"context"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/cluster"
)

// record sees every write to the Nodes and dispatches of one namespace: each is one event.
type record struct {
	mu sync.Mutex
	// absent is the first presence but Online that a Node was seen with, by Node.
	absent map[string]absence
	// nodeWrites counts writes to Nodes; created, dispatched and ended writes to dispatches, by
	// the phase they left behind.
	nodeWrites, created, dispatched, ended int
	phases                                 map[v1alpha1.DispatchPhase]int
}

// absence is what a Node was called that is not Online, and when that was seen.
type absence struct {
	presence v1alpha1.NodePresence
	at       time.Time
}

// follow records until the test ends.
func follow(t *testing.T, namespace string) *record {
	t.Helper()
	c, err := client.NewWithWatch(system.Cluster.Admin(), client.Options{Scheme: cluster.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	r := &record{absent: map[string]absence{}, phases: map[v1alpha1.DispatchPhase]int{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, list := range []client.ObjectList{&v1alpha1.NodeList{}, &v1alpha1.CapabilityDispatchList{}} {
		if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		since := &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}
		w, err := c.Watch(ctx, list, &client.ListOptions{Namespace: namespace, Raw: since})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer w.Stop()
			for event := range w.ResultChan() {
				r.take(event)
			}
		})
	}
	return r
}

func (r *record) take(event watch.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch o := event.Object.(type) {
	case *v1alpha1.Node:
		r.nodeWrites++
		if _, known := r.absent[o.Name]; !known && o.Status.Presence != v1alpha1.PresenceOnline {
			r.absent[o.Name] = absence{o.Status.Presence, time.Now()}
		}
	case *v1alpha1.CapabilityDispatch:
		switch {
		case event.Type == watch.Added:
			r.created++
		case event.Type == watch.Modified && dispatch.Terminal(o.Status.Phase):
			r.ended++
			r.phases[o.Status.Phase]++
		case event.Type == watch.Modified:
			r.dispatched++
		}
	}
}

// seen is a copy of what was counted.
func (r *record) seen() (nodeWrites, created, dispatched, ended int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodeWrites, r.created, r.dispatched, r.ended
}

// away are those that were called so by a time.
func (r *record) away(by time.Time) map[string]v1alpha1.NodePresence {
	r.mu.Lock()
	defer r.mu.Unlock()
	away := map[string]v1alpha1.NodePresence{}
	for name, a := range r.absent {
		if !a.at.After(by) {
			away[name] = a.presence
		}
	}
	return away
}
