package gateway

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

func TestEveryMethodHasABudget(t *testing.T) {
	r := prepareGateway(t)
	for server, need := range map[*grpc.Server]callerKind{r.Server.pairing: unauthenticated, r.Server.node: pinnedMachine} {
		for service, info := range server.GetServiceInfo() {
			for _, served := range info.Methods {
				name := "/" + service + "/" + served.Name
				row := methods[name]
				bounded := row.byNode.Burst > 0 && row.byNode.Every > 0
				if need == unauthenticated {
					bounded = row.bySource != 0
				}
				if !bounded {
					t.Errorf("%s has no budget", name)
				}
			}
		}
	}
}

// One machine calls as fast as it can with new keys and connections. The test counts the calls that
// reach the service, because nothing else costs a neighbour.
func TestTheCallsOfANodeAreBoundedWhateverItsKeysAndConnections(t *testing.T) {
	var served atomic.Int64
	other := identity.ID{TrustDomain: robot.TrustDomain, Namespace: robot.Namespace, Node: "other"}
	clock := clocktesting.NewFakePassiveClock(time.Now())
	r := startGateway(t, func(r *testGateway, o *Options) {
		o.Clock = clock
		r.node.register = func(ctx context.Context) error {
			if id, _ := peer.FromContext(ctx); id.ID == robot {
				served.Add(1)
			}
			return nil
		}
	})
	for range 5 {
		client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
		for range 20 {
			_, _ = client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}) // counted by the service
		}
	}
	if got := served.Load(); got != int64(sessionQuota.Burst) {
		t.Errorf("%d calls were served, want the burst of %d", got, sessionQuota.Burst)
	}
	if _, err := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, other)).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("the neighbour: %v", err)
	}
}

func TestAConnectionOfRefusedCallsIsClosed(t *testing.T) {
	var asked atomic.Int64
	r := startGateway(t, func(_ *testGateway, o *Options) {
		o.Authorizer = pinned(func(peer.Identity) bool { asked.Add(1); return false })
	})
	client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
	for i := range maxRefusals {
		if _, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); status.Code(err) != codes.PermissionDenied {
			t.Fatalf("call %d: %v, want PermissionDenied", i, err)
		}
	}
	_, _ = client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}) // closes the connection
	soon.True(t, "the connection is closed", func() bool { return r.refusedCount(nodeListener, reasonTooManyRefusals) == 1 })
	for range 200 {
		_, _ = client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}) // counted below
	}
	if got, most := asked.Load(), int64(unpinnedQuota.Burst+connectionQuota.Burst); got > most {
		t.Errorf("the authorizer was asked %d times, want at most %d", got, most)
	}
}

// The budget of the address is used up on one connection, which is closed after a few refusals.
func TestAPairingConnectionOfRefusedCallsIsClosed(t *testing.T) {
	r := startGateway(t, func(_ *testGateway, o *Options) {
		o.Clock = clocktesting.NewFakePassiveClock(time.Now())
		o.Limits.BeginBurst = 2
	})
	client := r.pairingClient(t)
	begin := func() error {
		_, err := client.BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{})
		return err
	}
	for range 2 {
		if err := begin(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxRefusals {
		if err := begin(); status.Code(err) != codes.ResourceExhausted {
			t.Fatalf("refused call %d: %v, want ResourceExhausted", i, err)
		}
	}
	_ = begin() // closes the connection
	soon.True(t, "the connection is closed", func() bool { return r.refusedCount(pairingListener, reasonTooManyRefusals) == 1 })
}

// A machine that connects too often uses up the turns of its address, because its refused
// connection is not closed at once.
func TestAConnectionBeyondTheBudgetKeepsItsTurn(t *testing.T) {
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Clock = clocktesting.NewFakePassiveClock(time.Now()) })
	certificate := r.deviceCA.IssueDeviceTLS(t, robot)
	for range connectionQuota.Burst {
		r.connect(t, certificate).Close()
	}
	began := time.Now()
	conn, err := dialTLS(t, r.nodeAddress(), r.clientTLS(certificate))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection beyond the budget was served")
	}
	if lasted := time.Since(began); lasted < refusedConnectionDelay {
		t.Errorf("it was closed after %s, want at least %s", lasted, refusedConnectionDelay)
	}
	// The client sees the end of its connection before the gateway counts it.
	soon.True(t, "the connection is counted as refused", func() bool { return r.refusedCount(nodeListener, reasonTooManyConnectionsOfNode) == 1 })
}

// A caller with another key of the Node uses nothing from the budget of the machine.
func TestANamesakeTakesNoCallOfTheMachine(t *testing.T) {
	var pin string
	r := startGateway(t, func(_ *testGateway, o *Options) {
		o.Authorizer = pinned(func(id peer.Identity) bool { return id.PublicKeySHA256 == pin })
	})
	certificate := r.deviceCA.IssueDeviceTLS(t, robot)
	pin = fingerprint(t, certificate)
	namesake := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
	for range 50 {
		_, _ = namesake.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}) // refused
	}
	if _, err := r.nodeClient(t, certificate).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("the machine: %v", err)
	}
}
