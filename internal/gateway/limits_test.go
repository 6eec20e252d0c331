package gateway

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

func sourceOf(address string) netip.Prefix { return peer.Source(netip.MustParseAddr(address)) }

func TestASourceIsAnIPv4AddressOrAnIPv6Network(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
	} {
		if same := sourceOf(test.a) == sourceOf(test.b); same != test.same {
			t.Errorf("%s and %s: same source %v, want %v", test.a, test.b, same, test.same)
		}
	}
}

func TestTheLimiterRefusesOneSourceAndNotItsNeighbour(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	l := newCallLimiter(Limits{BeginsPerSecond: 1, BeginBurst: 3, CallsPerSecond: 10, CallBurst: 5}, clock, nil)
	for i := range 3 {
		if wait := l.take(sourceOf("192.0.2.1"), true); wait != 0 {
			t.Fatalf("call %d has to wait %s", i, wait)
		}
	}
	if wait := l.take(sourceOf("192.0.2.1"), true); wait != time.Second {
		t.Errorf("the call beyond the burst waits %s, want 1s", wait)
	}
	if wait := l.take(sourceOf("192.0.2.2"), true); wait != 0 {
		t.Errorf("the neighbour waits %s", wait)
	}
	if wait := l.take(sourceOf("192.0.2.1"), false); wait != 0 {
		t.Errorf("a poll waits %s because of Begins", wait)
	}
	clock.SetTime(clock.Now().Add(time.Second))
	if wait := l.take(sourceOf("192.0.2.1"), true); wait != 0 {
		t.Errorf("a second later it waits %s", wait)
	}
}

// Each address of a flood is new, and none has to wait because of the others.
func TestAFloodOfNewSourcesFillsABoundedTable(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	l := newCallLimiter(Limits{BeginsPerSecond: 1, BeginBurst: 1, CallsPerSecond: 1, CallBurst: 1}, clock, nil)
	flooder := netip.MustParseAddr("10.0.0.0")
	for i := range maxSources + 1000 {
		for _, begin := range []bool{true, false} {
			if wait := l.take(peer.Source(flooder), begin); wait != 0 {
				t.Fatalf("new source %d waits %s because of others", i, wait)
			}
		}
		flooder = flooder.Next()
	}
	if l.begins.Len() != maxSources || l.calls.Len() != maxSources {
		t.Errorf("%d and %d sources are remembered, want %d", l.begins.Len(), l.calls.Len(), maxSources)
	}
}

func TestAPairingConnectionWithoutACallIsEnded(t *testing.T) {
	if idle := DefaultLimits().PairingIdle; idle <= 0 || idle > 30*time.Second {
		t.Errorf("the default is %s, want at most 30s", idle)
	}
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Limits.PairingIdle = 100 * time.Millisecond })
	conn := dial(t, r.pairingAddress(), r.clientTLS())
	conn.Connect()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if !conn.WaitForStateChange(ctx, state) {
			t.Fatalf("the connection is %s", state)
		}
	}
	if !conn.WaitForStateChange(ctx, connectivity.Ready) {
		t.Error("an idle connection stays open")
	}
}

func TestTooManyBeginsAreToldWhenToComeBack(t *testing.T) {
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Limits.BeginBurst, o.Limits.BeginsPerSecond = 2, 0.1 })
	client := r.pairingClient(t)
	for range 2 {
		if _, err := client.BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{})
	var delay time.Duration
	var reason string
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.RetryInfo:
			delay = d.GetRetryDelay().AsDuration()
		case *errdetails.ErrorInfo:
			reason = d.GetReason()
		}
	}
	if status.Code(err) != codes.ResourceExhausted || reason != gatewayv1.ReasonRateLimited || delay <= 0 || delay > 10*time.Second {
		t.Errorf("got %v with the reason %q and the delay %s, want RATE_LIMITED and a delay up to 10s", err, reason, delay)
	}
}

func TestConnectionsBeyondTheCapAreClosedAndTheRestIsServed(t *testing.T) {
	const capacity = 20
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Limits.PairingConnections = capacity })
	var dialer net.Dialer
	for i := range 200 {
		conn, err := dialer.DialContext(t.Context(), "tcp", r.pairingAddress())
		if err != nil && i >= capacity {
			continue // already reset
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	soon.True(t, "all beyond the cap make room", func() bool { return r.refusedCount(pairingListener, reasonMadeRoom) == 200-capacity })
	if open := r.openConnections(pairingListener); open != capacity {
		t.Errorf("%v connections are open, want %d", open, capacity)
	}
	if _, err := r.pairingClient(t).BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{}); err != nil {
		t.Errorf("a legitimate machine: %v", err)
	}
}

func TestGiantHeadersAndMessagesAreRefused(t *testing.T) {
	r := startGateway(t)
	client := r.pairingClient(t)
	if _, err := client.BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{}); err != nil {
		t.Fatal(err)
	}
	_, err := client.BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{Share: make([]byte, 10<<20)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("10 MiB message: got %v, want ResourceExhausted", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("a", 1<<20))
	if _, err := client.BeginPairingSession(ctx, &gatewayv1.BeginPairingSessionRequest{}); err == nil {
		t.Error("a header of 1 MiB was taken")
	}
	if _, err := r.pairingClient(t).BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{}); err != nil {
		t.Errorf("the next machine: %v", err)
	}
}

func TestManyCancelledCallsDoNotShutOutOthers(t *testing.T) {
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Limits.CallBurst = 1 << 20 })
	client := r.pairingClient(t)
	for i := range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = client.GetPairingRequestStatus(ctx, &gatewayv1.GetPairingRequestStatusRequest{Name: fmt.Sprint(i)})
		}()
		cancel()
		<-done
	}
	if _, err := r.pairingClient(t).BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{}); err != nil {
		t.Errorf("a legitimate machine: %v", err)
	}
}
