package session_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestARecoveryWithABundleThatDoesNotAdmitItsGatewayKeepsTheOldOne(t *testing.T) {
	g := fakegateway.Start(t)
	foreign := fakegateway.NewCA(t, "foreign").Bundle(t)
	g.Pairing.Bundle = func() identity.Bundle { return foreign }
	a := start(t, g, 0)
	g.Node.NextSession(t) // the new certificate is in use, with the old bundle
	if got, want := a.creds.Bundle().SHA256(), g.ServerCA.Bundle(t).SHA256(); got != want {
		t.Errorf("the bundle in use is %s, want %s", got, want)
	}
	if a.creds.Identity().Leaf().NotAfter.Equal(a.creds.Identity().Leaf().NotBefore) {
		t.Error("the certificate was not recovered")
	}
}

// TestAMachineWhoseClockIsFarAheadStaysOutAndSaysSo uses a clock that is ahead by more than a
// certificate's life, so that every certificate has expired on arrival.
func TestAMachineWhoseClockIsFarAheadStaysOutAndSaysSo(t *testing.T) {
	notExpired, err := status.New(codes.FailedPrecondition, "the clock of the machine is ahead").WithDetails(&errdetails.ErrorInfo{
		Reason:   gatewayv1.ReasonCertificateNotExpired,
		Metadata: map[string]string{gatewayv1.MetadataGatewayTime: time.Now().UTC().Format(time.RFC3339)}})
	if err != nil {
		t.Fatal(err)
	}
	for name, refusal := range map[string]error{"a gateway that refuses": notExpired.Err(), "an older gateway that issues": nil} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			var recoveries atomic.Int32
			g.Pairing.Recover = func() error { recoveries.Add(1); return refusal }
			g.Node.CertificateLifetime = 20 * time.Minute
			a := &agent{now: func() time.Time { return time.Now().Add(40 * time.Minute) }}
			a.start(t, g, g.Node.CertificateLifetime)
			own := a.creds.Identity().Leaf()
			a.screen.await(t, "The clock of this machine is 40 minutes ahead of the gateway's: set it")
			awaitCount(t, &recoveries, 2)
			if !a.creds.Identity().Leaf().Equal(own) {
				t.Error("the certificate was replaced by one that has expired by the clock of the machine")
			}
			if got := strings.Count(a.screen.contents(), "minutes ahead"); got != 1 {
				t.Errorf("the sentence is printed %d times, want once:\n%s", got, a.screen.contents())
			}
		})
	}
}

// awaitCount waits until the counter reaches want.
func awaitCount(t *testing.T, counter *atomic.Int32, want int32) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); counter.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counted %d, want %d", counter.Load(), want)
		}
	}
}
