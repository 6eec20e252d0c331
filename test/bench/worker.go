package main

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/sim"
)

// worker does the work of a gateway and its agent with a plain client: it sees a dispatch and
// stores its end with one status PUT.
type worker struct {
	client client.WithWatch
	// poll is the interval of its lists; 0 makes it watch.
	poll time.Duration
}

// run works for one node name of a namespace until ctx ends. It closes ready when its watch has
// begun.
func (w *worker) run(ctx context.Context, at machine, ready chan<- struct{}) error {
	if w.poll > 0 {
		close(ready)
		return w.runPolling(ctx, at)
	}
	var group sync.WaitGroup
	defer group.Wait()
	return sim.ListAndWatch(ctx, w.client, &v1alpha1.CapabilityDispatchList{}, func(d *v1alpha1.CapabilityDispatch) {
		if d.Status.Phase == v1alpha1.DispatchQueued {
			group.Go(func() { w.settle(ctx, d.DeepCopy()) })
		}
	}, ready, client.InNamespace(at.namespace), client.MatchingFields{"spec.nodeName": at.name})
}

func (w *worker) runPolling(ctx context.Context, at machine) error {
	tick := time.NewTicker(w.poll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		var list v1alpha1.CapabilityDispatchList
		if err := w.client.List(ctx, &list, client.InNamespace(at.namespace), client.MatchingFields{"spec.nodeName": at.name, "status.phase": "Queued"}); err != nil {
			continue
		}
		for i := range list.Items {
			w.settle(ctx, &list.Items[i])
		}
	}
}

// settle makes the status write of the gateway for a short dispatch. After a failed write the
// dispatch does not end.
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
