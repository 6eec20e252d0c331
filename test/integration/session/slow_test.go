package session_test

import (
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// TestANodeThatNeverAnswersCostsOnlyItself checks that a machine without answers uses only its
// window and keeps its queue. Another machine on the gateway is not delayed.
func TestANodeThatNeverAnswersCostsOnlyItself(t *testing.T) {
	t.Parallel()
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	namespace := shared.Namespace(t)
	slow := newPairedMachine(t, ca, namespace, "slow", func(n *v1alpha1.Node) { n.Spec.MaxInFlight = 2 })
	calm := newPairedMachine(t, ca, namespace, "calm", nil)
	a, b := slow.connect(t, r), calm.connect(t, r)
	slow.waitPastSessionStart(t)
	const flood = 60
	var waiting []*v1alpha1.CapabilityDispatch
	for range flood {
		waiting = append(waiting, slow.createDispatch(t, nil))
	}
	firstOffers := []*gatewayv1.Offer{a.nextOffer(), a.nextOffer()} // the machine does not answer these offers
	for range 10 {
		d := calm.createDispatch(t, nil)
		b.succeed(b.nextOffer().GetDispatch(), `1`)
		b.nextSettled()
		calm.wantPhase(t, d, v1alpha1.DispatchSucceeded)
	}
	a.RequireNoMessage()
	for _, d := range waiting {
		if createdVersion := d.ResourceVersion; getLive(t, d).ResourceVersion != createdVersion {
			t.Errorf("a dispatch of the silent machine was written: %+v", d.Status)
		}
	}
	for _, offer := range firstOffers { // The machine answers again.
		a.succeed(offer.GetDispatch(), `1`)
	}
	if offers := a.serveOffers(flood); len(offers) != flood-len(firstOffers) {
		t.Errorf("%d dispatches were offered after the first two, want the other %d", len(offers), flood-len(firstOffers))
	}
}
