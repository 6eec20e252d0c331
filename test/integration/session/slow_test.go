package session_test

import (
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// TestANodeThatNeverAnswersCostsOnlyItself checks that a machine without answers uses only its
// window and keeps its queue. Another machine on the gateway is not delayed.
func TestANodeThatNeverAnswersCostsOnlyItself(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	namespace := shared.Namespace(t)
	slow := pair(t, ca, namespace, "slow", func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 2 })
	calm := pair(t, ca, namespace, "calm", nil)
	a, b := slow.connect(t, r), calm.connect(t, r)
	slow.settleIn(t)
	const flood = 60
	var waiting []*v1alpha1.CapabilityDispatch
	for range flood {
		waiting = append(waiting, slow.create(t, nil))
	}
	held := []*gatewayv1.Offer{a.offer(), a.offer()} // the machine does not answer these offers
	for range 10 {
		d := calm.create(t, nil)
		b.succeed(b.offer().GetDispatch(), `1`)
		b.settled()
		calm.wantPhase(t, d, v1alpha1.DispatchSucceeded)
	}
	a.quiet()
	for _, d := range waiting {
		if made := d.ResourceVersion; get(t, d).ResourceVersion != made {
			t.Errorf("a dispatch of the silent machine was written: %+v", d.Status)
		}
	}
	for _, offer := range held { // The machine answers again.
		a.succeed(offer.GetDispatch(), `1`)
	}
	if offers := a.answer(flood); len(offers) != flood-len(held) {
		t.Errorf("%d dispatches were offered after the first two, want the other %d", len(offers), flood-len(held))
	}
}
