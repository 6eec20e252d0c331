package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// connect opens a connection with a certificate and waits until the gateway serves it.
func (r *testGateway) connect(t *testing.T, certificate tls.Certificate) *tls.Conn {
	t.Helper()
	conn, err := dialTLS(t, r.nodeAddress(), r.clientTLS(certificate))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 9)); err != nil { // the header of the server's SETTINGS
		t.Fatalf("the connection is not served: %v", err)
	}
	return conn
}

// countOpen returns the number of open connections of a Node.
func (c *connLimiter) countOpen(id identity.ID) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open[types.NamespacedName{Namespace: id.Namespace, Name: id.Node}])
}

// One certificate cannot have more than a few open connections, however many it opens. Others are
// served meanwhile. The newest connection is the one that works.
func TestOneIdentityHoldsAFewConnectionsAndOthersAreServed(t *testing.T) {
	const most, flood = 3, 60
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Limits.ConnectionsPerNode = most })
	greedy, other := r.deviceCA.IssueDeviceTLS(t, robot), r.deviceCA.IssueDeviceTLS(t, identity.ID{TrustDomain: robot.TrustDomain, Namespace: "fleet", Node: "other"})
	neighbour := r.nodeClient(t, other)
	if _, err := neighbour.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Fatal(err)
	}
	var opened []*tls.Conn
	for range flood {
		opened = append(opened, r.connect(t, greedy))
	}
	for i, conn := range opened[:flood-most] {
		for {
			if _, err := conn.Read(make([]byte, 1024)); err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // as the net package returns it
					t.Fatalf("connection %d is still open", i)
				}
				break
			}
		}
	}
	if got := r.connLimiter.countOpen(robot); got != most {
		t.Errorf("%d connections are open, want %d", got, most)
	}
	if got := r.refusedCount(nodeListener, "TooManyOfOneNode"); got != flood-most {
		t.Errorf("%v were closed, want %d", got, flood-most)
	}
	if _, err := neighbour.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("the neighbour: %v", err)
	}
	if _, err := r.nodeClient(t, greedy).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("its own newest connection: %v", err)
	}
	for _, conn := range opened {
		conn.Close()
	}
	soon.True(t, "its places are free again", func() bool { return r.connLimiter.countOpen(robot) <= 1 })
}

// A certificate of the device CA with the name of another machine uses no connection of that
// machine.
func TestANamesakeTakesNoConnectionOfTheMachine(t *testing.T) {
	var pin string
	r := startGateway(t, func(r *testGateway, o *Options) {
		o.Limits.ConnectionsPerNode = 2
		o.Authorizer = pinned(func(id peer.Identity) bool { return id.PublicKeySHA256 == pin })
	})
	certificate := r.deviceCA.IssueDeviceTLS(t, robot)
	pin = fingerprint(t, certificate)
	machine := r.nodeClient(t, certificate)
	if _, err := machine.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Fatal(err)
	}
	namesake := r.deviceCA.IssueDeviceTLS(t, robot)
	for range 10 {
		r.connect(t, namesake)
	}
	if connections := r.openConnections(nodeListener); connections != 2 {
		t.Errorf("%v connections are open, want one of the machine and one of the namesake", connections)
	}
	if _, err := machine.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("the machine: %v", err)
	}
}

// pinned is an Authorizer that allows the callers for which it returns true.
type pinned func(peer.Identity) bool

func (p pinned) Pinned(id peer.Identity) bool { return p(id) }

func (p pinned) Authorize(_ context.Context, id peer.Identity) error {
	if !p(id) {
		return status.Error(codes.PermissionDenied, "the key is not pinned")
	}
	return nil
}

func fingerprint(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	sum, err := identity.FingerprintSPKI(certificate.Leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// A machine that rotates its key again and again has no more open connections than any other.
func TestANodeHoldsAFewConnectionsWhateverItsKeys(t *testing.T) {
	const most = 4
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Limits.ConnectionsPerNode = most })
	for range 22 {
		r.connect(t, r.deviceCA.IssueDeviceTLS(t, robot))
	}
	soon.True(t, "the oldest are closed", func() bool { return r.openConnections(nodeListener) == most })
	if got := r.connLimiter.countOpen(robot); got != most {
		t.Errorf("%d connections of the Node are open, want %d", got, most)
	}
}

func TestTheOldestConnectionWithoutThePinnedKeyMakesRoom(t *testing.T) {
	for name, tt := range map[string]struct {
		strays []int // indexes of three connections; the last one is one too many
		victim int   // 3 for none
		most   int
	}{
		"there is room":           {nil, 3, 3},
		"none is a stray":         {nil, 0, 2},
		"the second is a stray":   {[]int{1}, 1, 2},
		"two are strays":          {[]int{1, 2}, 1, 2},
		"the newest is the stray": {[]int{2}, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			closed := 0
			c := newConnLimiter(tt.most, func() { closed++ })
			key := types.NamespacedName{Namespace: robot.Namespace, Name: robot.Node}
			turns, _ := newTestScheduler(handshakeBounds{concurrent: 1})
			listener := &limitedListener{name: nodeListener, slots: newConnSlots(9, 9, 0), handshakes: turns, metrics: newTestMetrics(t)}
			var all []*limitedConn
			for i := range 3 {
				ours, _ := net.Pipe()
				node := &nodeConn{identity: &peer.Identity{ID: robot}}
				node.unpinned.Store(slices.Contains(tt.strays, i))
				all = append(all, &limitedConn{Conn: ours, listener: listener})
				c.acquire(node, all[i])
			}
			remaining := 3
			if tt.victim < 3 {
				remaining--
			}
			if c.countOpen(robot) != remaining || closed != 3-remaining {
				t.Errorf("%d are open, %d were closed", c.countOpen(robot), closed)
			}
			for i := range all {
				if all[i].isClosed() != (i == tt.victim) {
					t.Errorf("connection %d is closed: %t", i, all[i].isClosed())
				}
				if i != tt.victim {
					remaining--
					if c.release(key, all[i]); c.countOpen(robot) != remaining {
						t.Errorf("%d are open after one left, want %d", c.countOpen(robot), remaining)
					}
				}
			}
			if len(c.open) != 0 {
				t.Error("a Node without connections is remembered")
			}
		})
	}
}
