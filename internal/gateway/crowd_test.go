package gateway

import (
	"crypto/tls"
	"net"
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// greet opens a connection with a certificate and waits until it is taken.
func (r *running) greet(t *testing.T, certificate tls.Certificate) *tls.Conn {
	t.Helper()
	conn, err := handshake(t, r.nodeAddress(), r.clientTLS(certificate))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 9)); err != nil { // the header of the server's SETTINGS
		t.Fatalf("not taken: %v", err)
	}
	return conn
}

// held is how many connections a key has.
func (c *crowd) held(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held := c.open[key]; held != nil {
		return held.Len()
	}
	return 0
}

// One certificate cannot hold more than a few connections, however many it opens, and others are
// served all the while. The newest connection is the one that works.
func TestOneIdentityHoldsAFewConnectionsAndOthersAreServed(t *testing.T) {
	const most, flood = 3, 60
	r := start(t, func(_ *running, o *Options) { o.Limits.ConnectionsPerNode = most })
	greedy, other := r.deviceCA.DeviceTLS(t, robot), r.deviceCA.DeviceTLS(t, identity.ID{TrustDomain: robot.TrustDomain, Namespace: "fleet", Node: "other"})
	neighbour := r.nodeClient(t, other)
	if _, err := neighbour.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Fatal(err)
	}
	var opened []*tls.Conn
	for range flood {
		opened = append(opened, r.greet(t, greedy))
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
	pin, err := identity.FingerprintSPKI(greedy.Leaf.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.crowd.held(pin); got != most {
		t.Errorf("%d connections are held, want %d", got, most)
	}
	if got := r.refused(nodeListener, "TooManyOfOneNode"); got != flood-most {
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
	eventually(t, "its places are free again", func() bool { return r.crowd.held(pin) <= 1 })
}

// A validly signed certificate with the name of another machine takes no place of it.
func TestANamesakeTakesNoConnectionOfTheMachine(t *testing.T) {
	r := start(t, func(_ *running, o *Options) { o.Limits.ConnectionsPerNode = 2 })
	machine := r.nodeClient(t, r.deviceCA.DeviceTLS(t, robot))
	if _, err := machine.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Fatal(err)
	}
	namesake := r.deviceCA.DeviceTLS(t, robot)
	for range 10 {
		r.greet(t, namesake)
	}
	if connections := r.connections(nodeListener); connections != 3 {
		t.Errorf("%v connections are open, want that of the machine and two of the namesake", connections)
	}
	if _, err := machine.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Errorf("the machine: %v", err)
	}
}
