package replicas_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// eventRecord counts every write to the Nodes and dispatches of one namespace; each write is one event.
type eventRecord struct {
	mu sync.Mutex
	// lastGateway maps each Node to its gateway when it was last seen Online. absent holds all states in
	// which a Node was seen that was not Online.
	lastGateway map[string]string
	absent      []absence
	// nodeWrites counts writes to Nodes; created, dispatched and ended count writes to dispatches
	// by the phase after the write.
	nodeWrites, created, dispatched, ended int
	phases                                 map[v1alpha1.DispatchPhase]int
}

// absence is a Node that was seen with a presence other than Online, with the time and the gateway
// on which it was Online before.
type absence struct {
	node        string
	presence    v1alpha1.NodePresence
	at          time.Time
	lastGateway string
}

// recordEvents records events until the test ends.
func recordEvents(t *testing.T, namespace string) *eventRecord {
	t.Helper()
	c, err := client.NewWithWatch(system.Cluster.AdminConfig(), client.Options{Scheme: controlplane.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	r := &eventRecord{lastGateway: map[string]string{}, phases: map[v1alpha1.DispatchPhase]int{}}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, list := range []client.ObjectList{&v1alpha1.NodeList{}, &v1alpha1.CapabilityDispatchList{}} {
		if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		if nodes, ok := list.(*v1alpha1.NodeList); ok {
			for _, node := range nodes.Items {
				r.lastGateway[node.Name] = node.Status.Gateway
			}
		}
		since := &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}
		w, err := c.Watch(ctx, list, &client.ListOptions{Namespace: namespace, Raw: since})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer w.Stop()
			for event := range w.ResultChan() {
				r.countEvent(event)
			}
		})
	}
	return r
}

func (r *eventRecord) countEvent(event watch.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch o := event.Object.(type) {
	case *v1alpha1.Node:
		r.nodeWrites++
		if o.Status.Presence == v1alpha1.PresenceOnline {
			r.lastGateway[o.Name] = o.Status.Gateway
		} else {
			r.absent = append(r.absent, absence{o.Name, o.Status.Presence, time.Now(), r.lastGateway[o.Name]})
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

// counts returns the counts.
func (r *eventRecord) counts() (nodeWrites, created, dispatched, ended int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodeWrites, r.created, r.dispatched, r.ended
}

func (r *eventRecord) absentNodes() map[string]v1alpha1.NodePresence {
	r.mu.Lock()
	defer r.mu.Unlock()
	away := map[string]v1alpha1.NodePresence{}
	for _, a := range r.absent {
		away[a.node] = a.presence
	}
	return away
}

// falseAbsences returns the false absences: those of machines on another gateway, and those of machines
// of the killed gateway that still had time to reconnect.
func (r *eventRecord) falseAbsences(gateway string, until time.Time) (wronged []absence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.absent {
		if a.at.Before(until) || !strings.HasPrefix(a.lastGateway, gateway+"-") {
			wronged = append(wronged, a)
		}
	}
	return wronged
}
