package session_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/test/eventually"
)

// serveOffers accepts every offer and reports success, until want dispatches are settled. It returns the
// number of offers of each dispatch by UID.
func (a *agent) serveOffers(want int) map[string]int {
	a.t.Helper()
	offers := map[string]int{}
	for settled := 0; settled < want; {
		select {
		case message := <-a.Received:
			if offer := message.GetOffer(); offer != nil {
				offers[offer.GetDispatch().GetUid()]++
				a.accept(offer.GetDispatch())
				a.succeed(offer.GetDispatch(), `{"ok":true}`)
			}
			if message.GetSettled() != nil {
				settled++
			}
		case err := <-a.Ended:
			a.t.Fatalf("the session ended with %v", err)
		case <-time.After(waitTimeout):
			a.t.Fatalf("%d of %d are settled", settled, want)
		}
	}
	return offers
}

func TestManyAtOnceAreEachOfferedOnceAndWrittenOnce(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	a := m.connect(t, r)
	m.waitPastSessionStart(t)
	const many, clients = 96, 16
	before := r.api.writes.Load()
	created := make([]*v1alpha1.CapabilityDispatch, many)
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for i := c; i < many; i += clients {
				created[i] = m.newDispatch()
				if err := shared.Client().Create(t.Context(), created[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	offers := a.serveOffers(many)
	group.Wait()
	for _, d := range created {
		if n := offers[string(d.UID)]; n != 1 {
			t.Errorf("dispatch %s was offered %d times", d.Name, n)
		}
		if got := getLive(t, d).Status; got.Phase != v1alpha1.DispatchSucceeded || got.Execution != v1alpha1.ExecutionFinished {
			t.Errorf("dispatch %s ended %s, %s", d.Name, got.Phase, got.Execution)
		}
	}
	if writes := r.api.writes.Load() - before; writes != many {
		t.Errorf("the gateway wrote %d times for %d dispatches", writes, many)
	}
}

func TestStormOfProgressStaysWithinTheBudgetOfItsNode(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, nil)
	namespace := shared.Namespace(t)
	loud, calm := newPairedMachine(t, ca, namespace, "loud", nil), newPairedMachine(t, ca, namespace, "calm", nil)
	a, b := loud.connect(t, r), calm.connect(t, r)
	loud.waitPastSessionStart(t)
	d := loud.createDispatch(t, nil)
	ref := a.nextOffer().GetDispatch()
	before := r.api.writes.Load()
	began := time.Now()
	for i := range 5000 {
		a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{
			Progress: &gatewayv1.Progress{Dispatch: ref, Percent: uint32(i % 101), Message: fmt.Sprint(i)}}})
	}
	other := calm.createDispatch(t, nil)
	b.serveOffers(1)
	calm.wantPhase(t, other, v1alpha1.DispatchSucceeded)
	a.succeed(ref, `1`)
	a.nextSettled()
	loud.wantPhase(t, d, v1alpha1.DispatchSucceeded)
	// One progress in two seconds for each dispatch, the two results, and one for rounding.
	if writes, most := r.api.writes.Load()-before, int64(time.Since(began)/(2*time.Second))+4; writes > most {
		t.Errorf("5000 messages made %d writes, want at most %d", writes, most)
	}
}

func TestFloodOfSessionsIsBounded(t *testing.T) {
	ca := newAuthorities(t)
	r := startReplica(t, ca, func(o *session.Options) { o.NodeWritesPerSecond = 1000 })
	m := newPairedMachine(t, ca, shared.Namespace(t), "pc", nil)
	refused := false
	for range 30 {
		a := m.startSession(t, r, m.nextHello())
		select {
		case message := <-a.Received:
			if message.GetWelcome() == nil {
				t.Fatalf("received %v, want Welcome", message)
			}
		case err := <-a.Ended:
			refused = true
			t.Log(err)
		case <-time.After(waitTimeout):
			t.Fatal("no answer to Hello")
		}
		if refused {
			break
		}
	}
	if !refused {
		t.Error("30 sessions in a row were opened")
	}
	neighbour := newPairedMachine(t, ca, m.id.Namespace, "neighbour", nil)
	neighbour.connect(t, r)
	eventually.True(t, "the neighbour is Online", func() bool { return getLive(t, neighbour.node).Status.Presence == v1alpha1.PresenceOnline })
}
