package pairing

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// nothing is a store without objects that counts its reads.
type nothing struct {
	client.Client
	reads, unbounded int
}

func (n *nothing) Get(ctx context.Context, key types.NamespacedName, _ client.Object, _ ...client.GetOption) error {
	n.reads++
	if _, bounded := ctx.Deadline(); !bounded {
		n.unbounded++
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "pairingrequests"}, key.Name)
}

func TestInventedNamesReadAroundTheCacheOnlyAtABoundedRate(t *testing.T) {
	clock, live := clocktesting.NewFakePassiveClock(start), &nothing{}
	s := New(Options{Client: &nothing{}, Live: live, Clock: clock})
	ctx := peer.WithConnection(t.Context(), peer.Connection{Exporter: make([]byte, 32)})
	ask := func(name string) codes.Code {
		_, err := s.GetPairingRequestStatus(ctx, &gatewayv1.GetPairingRequestStatusRequest{Namespace: "fleet", Name: name})
		return status.Code(err)
	}
	for i := range lookupBurst {
		if got := ask(fmt.Sprintf("invented-%d", i)); got != codes.NotFound {
			t.Fatalf("poll %d: got %s, want NotFound", i, got)
		}
	}
	for i := range 1000 {
		if got := ask(fmt.Sprintf("more-%d", i)); got != codes.ResourceExhausted {
			t.Fatalf("poll %d beyond the bound: got %s, want ResourceExhausted", i, got)
		}
	}
	if live.reads != lookupBurst || live.unbounded != 0 {
		t.Errorf("%d reads, %d of them without a deadline; want %d and 0", live.reads, live.unbounded, lookupBurst)
	}
	clock.SetTime(start.Add(time.Second))
	if got := ask("later"); got != codes.NotFound {
		t.Errorf("a second later: got %s, want NotFound", got)
	}
}
