//go:build e2e

package e2e

import (
	"context"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// dispatchInterval is the time between two dispatches.
const dispatchInterval = 200 * time.Millisecond

// rollingRestart replaces all gateways while dispatches run on a machine.
func (in *install) rollingRestart() {
	in.runUnderTraffic(func() {
		in.kubectl("-n", "mooring-system", "rollout", "restart", "deployment/mooring-gateway")
		in.kubectl("-n", "mooring-system", "rollout", "status", "deployment/mooring-gateway", "--timeout=3m")
	})
}

// runUnderTraffic creates dispatches for a machine while change replaces all gateways. Every dispatch
// succeeds, and the machine is at another gateway afterwards. Runs are not counted here:
// test/integration/replicas counts them.
func (in *install) runUnderTraffic(change func()) {
	in.Helper()
	before := in.AwaitOnline(agentNode).Status.Gateway
	ctx, stop := context.WithCancel(in.Context())
	var asking sync.WaitGroup
	var asked []*v1alpha1.CapabilityDispatch
	asking.Go(func() {
		tick := time.NewTicker(dispatchInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				asked = append(asked, in.CreateDispatch(agentNode, "echo", map[string]any{"text": "hi"}))
			}
		}
	})
	defer asking.Wait() // also when change fails the test
	defer stop()
	began := time.Now()
	change()
	// The sessions of the old pods end after the new pods are ready.
	in.eventually("the old pods to be gone", func() bool {
		return in.countPods("app.kubernetes.io/component=gateway") == in.gatewayReplicas()
	})
	stop()
	asking.Wait()
	for _, d := range asked {
		if s := in.AwaitEnded(d); s.Status.Phase != v1alpha1.DispatchSucceeded {
			in.Errorf("%s ended %s: %+v", d.Name, s.Status.Phase, s.Status)
		}
	}
	in.Logf("%d dispatches, %s", len(asked), time.Since(began).Round(time.Second))
	if after := in.AwaitOnline(agentNode).Status.Gateway; len(asked) == 0 || after == before {
		in.Errorf("%d dispatches; the machine was at %s and is at %s", len(asked), before, after)
	}
}

// gatewayReplicas returns the desired number of gateways.
func (in *install) gatewayReplicas() int {
	in.Helper()
	var d appsv1.Deployment
	if err := in.System.Client.Get(in.Context(), client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: "mooring-gateway"}, &d); err != nil {
		in.Fatal(err)
	}
	return int(*d.Spec.Replicas)
}
