package pairing

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// emptyStore is a store without objects. It counts its reads.
type emptyStore struct {
	client.Client
	reads, unbounded int
}

func (n *emptyStore) Get(ctx context.Context, key types.NamespacedName, _ client.Object, _ ...client.GetOption) error {
	n.reads++
	if _, bounded := ctx.Deadline(); !bounded {
		n.unbounded++
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "pairingrequests"}, key.Name)
}

func TestInventedNamesReadAroundTheCacheOnlyAtABoundedRate(t *testing.T) {
	clock, live := clocktesting.NewFakePassiveClock(testTime), &emptyStore{}
	s := New(Options{Client: &emptyStore{}, Live: live, Clock: clock})
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
	clock.SetTime(testTime.Add(time.Second))
	if got := ask("later"); got != codes.NotFound {
		t.Errorf("a second later: got %s, want NotFound", got)
	}
}

// everyCode is a store in which every record exists.
type everyCode struct {
	client.Client
	reads int
}

func (c *everyCode) Get(_ context.Context, _ types.NamespacedName, o client.Object, _ ...client.GetOption) error {
	c.reads++
	secret, ok := o.(*corev1.Secret)
	if !ok {
		return errors.New("not a Secret")
	}
	secret.Type = v1alpha1.SecretTypePairingRecord
	secret.Data = map[string][]byte{
		v1alpha1.RecordKeyTriesUsed: []byte("0"), v1alpha1.RecordKeyExpires: []byte(testTime.Add(time.Hour).Format(time.RFC3339)),
		v1alpha1.RecordKeyScalar: spake.PasswordScalar("ZZZZZZ", "123456"),
	}
	return nil
}

// Under a flood, the rate of answers for a code does not reveal whether it exists.
func TestUnderAFloodACodeThatExistsIsAnsweredNoMoreOftenThanAnInventedOne(t *testing.T) {
	answered := map[string]int{}
	for name, store := range map[string]client.Client{"exists": &everyCode{}, "invented": &emptyStore{}} {
		known := func() identity.Bundle { return identity.Bundle{} }
		s := New(Options{Client: store, Live: store, Bundle: known, Clock: clocktesting.NewFakePassiveClock(testTime), Rand: rand.Reader, BeginsPerSecond: 1})
		for n := range 1000 {
			address := numberedPrefix(n % 100).Addr()
			share, err := spake.RandomShare(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			ctx := peer.WithConnection(t.Context(), peer.Connection{Address: address, Exporter: binary.BigEndian.AppendUint32(nil, uint32(n))})
			_, err = s.BeginPairingSession(ctx, &gatewayv1.BeginPairingSessionRequest{LookupId: "ZZZZZZ", Share: share, NodeName: "box"})
			switch status.Code(err) {
			case codes.OK:
				answered[name]++
			case codes.ResourceExhausted:
			default:
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	if answered["exists"] != answered["invented"] || answered["exists"] == 0 || answered["exists"] == 1000 {
		t.Errorf("of 1,000 each were answered: %v", answered)
	}
}
