package gateway

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

func newTestMetrics(t *testing.T) *Metrics {
	t.Helper()
	m, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// callUntilRefused calls a method on one connection until a call is refused, and returns the number
// of accepted calls.
func callUntilRefused(handle tap.ServerInHandle, method string, proven authInfo) (admitted int, err error) {
	ctx := grpcpeer.NewContext(context.Background(), &grpcpeer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, AuthInfo: proven})
	for admitted < 10_000 {
		if _, err = handle(ctx, &tap.Info{FullMethodName: method}); err != nil {
			return admitted, err
		}
		admitted++
	}
	return admitted, nil
}

func TestACallIsAdmittedFromTheBudgetOfItsCaller(t *testing.T) {
	for name, tt := range map[string]struct {
		method string
		stray  bool
		want   int
	}{
		"the machine":                {gatewayv1.NodeService_RegisterNode_FullMethodName, false, sessionQuota.Burst},
		"the machine polls":          {gatewayv1.NodeService_PollDispatch_FullMethodName, false, pollQuota.Burst},
		"another key":                {gatewayv1.NodeService_PollDispatch_FullMethodName, true, unpinnedQuota.Burst},
		"a method that is not a row": {"/mooring.Absent/Call", false, unpinnedQuota.Burst},
	} {
		t.Run(name, func(t *testing.T) {
			l := newNodeLimiter(clocktesting.NewFakePassiveClock(time.Now()), newTestMetrics(t))
			c := &nodeConn{identity: &peer.Identity{ID: robot}}
			c.unpinned.Store(tt.stray)
			admitted, err := callUntilRefused(l.tap, tt.method, authInfo{node: c})
			if admitted != tt.want || status.Code(err) != codes.ResourceExhausted || c.inRow.Load() != 1 {
				t.Errorf("%d calls are admitted, then %v, %d refused in a row, want %d", admitted, err, c.inRow.Load(), tt.want)
			}
		})
	}
}

func TestAConnectionIsClosedAfterExactlySoManyRefusals(t *testing.T) {
	closed := 0
	r := &refusedCalls{close: func() { closed++ }}
	for range maxRefusals - 1 {
		r.count()
	}
	if err := r.closeIfTooMany(newTestMetrics(t), nodeListener); err != nil || closed != 0 {
		t.Errorf("%v, closed %d times after one refusal less", err, closed)
	}
	r.count()
	if err := r.closeIfTooMany(newTestMetrics(t), nodeListener); err == nil || closed != 1 {
		t.Errorf("%v, closed %d times", err, closed)
	}
}

func TestACallOfAStrangerIsAdmittedFromTheBudgetOfItsAddress(t *testing.T) {
	for method, want := range map[string]int{gatewayv1.PairingService_BeginPairingSession_FullMethodName: 3, gatewayv1.PairingService_CompletePairingSession_FullMethodName: 5} {
		l := newCallLimiter(Limits{BeginsPerSecond: 1, BeginBurst: 3, CallsPerSecond: 10, CallBurst: 5}, clocktesting.NewFakePassiveClock(time.Now()), newTestMetrics(t))
		refused := &refusedCalls{}
		refused.count()
		admitted, err := callUntilRefused(l.tap, method, authInfo{refusedCalls: refused})
		if admitted != want || status.Code(err) != codes.ResourceExhausted || refused.inRow.Load() != 1 {
			t.Errorf("%s: %d calls are admitted, then %v, %d refused in a row, want %d", method, admitted, err, refused.inRow.Load(), want)
		}
	}
}

// The interceptors refuse a call without a caller. A tap takes nothing from a budget for it.
func TestACallWithoutACallerPassesTheTaps(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Now())
	for name, handle := range map[string]tap.ServerInHandle{
		"node":    newNodeLimiter(clock, newTestMetrics(t)).tap,
		"pairing": newCallLimiter(Limits{}, clock, newTestMetrics(t)).tap,
	} {
		if admitted, err := callUntilRefused(handle, gatewayv1.NodeService_RegisterNode_FullMethodName, authInfo{}); err != nil {
			t.Errorf("%s: %v after %d calls", name, err, admitted)
		}
	}
}

func TestAConnectionIsAdmittedFromTheBudgetOfItsNode(t *testing.T) {
	l := newNodeLimiter(clocktesting.NewFakePassiveClock(time.Now()), newTestMetrics(t))
	c := &nodeConn{identity: &peer.Identity{ID: robot}}
	for i := range connectionQuota.Burst {
		if err := l.takeConnection(c); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if l.takeConnection(c) == nil {
		t.Error("a connection beyond the burst is admitted")
	}
	c.unpinned.Store(true)
	if err := l.takeConnection(c); err != nil {
		t.Errorf("another key pays for the machine: %v", err)
	}
}

func TestARefusalNamesTheTimeToWait(t *testing.T) {
	for _, detail := range status.Convert(denial.RateLimited(2*time.Second, "wait")).Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok && retry.GetRetryDelay().AsDuration() == 2*time.Second {
			return
		}
	}
	t.Error("the refusal has no RetryInfo of 2 s")
}

// grpc-go adds or subtracts up to a tenth.
func TestANodeConnectionLastsWithinItsBounds(t *testing.T) {
	for range 1000 {
		age := nodeConnectionAge()
		if age*9/10 < minNodeConnectionAge-time.Second || age*11/10 > maxNodeConnectionAge {
			t.Fatalf("a connection lasts %s and a tenth more or less, want %s to %s", age, minNodeConnectionAge, maxNodeConnectionAge)
		}
	}
}

// The connection with most bytes is closed, of the source with most bytes.
func TestTheLargestConnectionIsOfTheSourceThatHoldsMost(t *testing.T) {
	b := newReceiveBudget(nodeListener, receiveBounds{}, nil)
	hold := func(address string, unfinished int) *meteredConn {
		c := &meteredConn{raw: newTestConn(address, time.Now()), budget: b, parser: frameParser{unfinished: unfinished}}
		b.add(c)
		return c
	}
	hold(charlie, 0)
	if b.largest() != nil {
		t.Error("a connection that holds nothing is the largest")
	}
	hold(alfa, 50)
	hold(bravo, 30)
	want := hold(bravo, 40)
	if got := b.largest(); got != want {
		t.Errorf("%v, want the one of 40 bytes of the source with 70", got)
	}
}
