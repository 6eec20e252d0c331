package replicas_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/simfleet"
)

// connectionLife is the lifetime of a connection in a network that breaks connections.
const connectionLife = time.Second

// The network breaks every connection after a moment, so streams cannot last and the machine polls.
// One polled session continues over many connections. Then its gateway is killed, and the machine
// moves to the other gateway.
func TestPollsWhereStreamsBreak(t *testing.T) {
	t.Parallel()
	f, networks, gateways := startPollingMachine(t, "polls", time.Hour)
	a := f.Sim.Agents()[0]
	connections := func() int { return networks[0].connections() + networks[1].connections() }
	status := func() v1alpha1.NodeStatus { return f.nodesByName()[a.Name].Status }
	var asked []*v1alpha1.CapabilityDispatch
	before, already := status(), connections()
	for i := range simfleet.CISized(6, 60) {
		asked = append(asked, f.AwaitEnded(f.createDispatch(a.Name, time.Duration(i%3)*connectionLife)))
	}
	used, after := connections()-already, status()
	f.checkRanOnce(asked)
	t.Logf("%d dispatches over %d connections of one polled session", len(asked), used)
	if used < 3 || after.SessionID != before.SessionID || after.DialCounter != before.DialCounter {
		t.Errorf("over %d connections session %s (dial %d) became %s (dial %d)", used, before.SessionID, before.DialCounter, after.SessionID, after.DialCounter)
	}
	holder, other := 0, 1
	if strings.HasPrefix(after.Gateway, gateways[1].name+"-") {
		holder, other = 1, 0
	}
	asked = append(asked, f.createDispatch(a.Name, 2*time.Second))
	f.Eventually("it to run", func() bool { return f.Runs.RunsOf(asked[len(asked)-1].Name) == 1 })
	began := time.Now()
	gateways[holder].Kill()
	asked = append(asked, f.createDispatch(a.Name, 0))
	f.Eventually("a session with the other gateway", func() bool { return strings.HasPrefix(status().Gateway, gateways[other].name+"-") })
	t.Logf("the gateway of a polled session was killed: moved after %s", time.Since(began).Round(time.Millisecond))
	f.checkRanOnce(asked)
	if !isPolling(a) {
		t.Error("it does not poll any more")
	}
}

// When the network is repaired, the machine detects it and uses streams again.
func TestPollsGiveWayToStreams(t *testing.T) {
	t.Parallel()
	f, networks, _ := startPollingMachine(t, "streams", 3*time.Second)
	for _, n := range networks {
		n.setConnectionLife(0)
	}
	a := f.Sim.Agents()[0]
	f.Eventually("the machine to stream again", func() bool { return a.Online() && !isPolling(a) })
	f.checkRanOnce([]*v1alpha1.CapabilityDispatch{f.createDispatch(a.Name, 0)})
}

func isPolling(a *sim.Agent) bool {
	_, kind := a.Opened()
	return a.Online() && kind == transport.Poll
}

// startPollingMachine starts a machine in networks that break connections, one network per gateway, and waits
// until it polls.
func startPollingMachine(t *testing.T, name string, probe time.Duration) (*fleet, []*breakingProxy, []*replica) {
	t.Helper()
	gateways := startTwoGateways(t, name, "127.0.0.1")
	networks := []*breakingProxy{newBreakingProxy(t, gateways[0].node), newBreakingProxy(t, gateways[1].node)}
	f := newFleet(t, networks[0].address+","+networks[1].address, 1, func(o *nodeagent.Options) { o.StreamProbe = probe })
	for _, n := range networks {
		n.setConnectionLife(connectionLife)
	}
	f.Eventually("the machine to poll", func() bool { return isPolling(f.Sim.Agents()[0]) })
	return f, networks, gateways
}

// breakingProxy forwards connections to a gateway; it may limit the lifetime of every connection.
type breakingProxy struct {
	address string
	gateway string

	mu       sync.Mutex
	life     time.Duration // 0: no limit
	open     map[net.Conn]struct{}
	accepted int
}

func newBreakingProxy(t *testing.T, gateway string) *breakingProxy {
	return newBreakingProxyAt(t, "127.0.0.1", gateway)
}

func newBreakingProxyAt(t *testing.T, host, gateway string) *breakingProxy {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	n := &breakingProxy{address: listener.Addr().String(), gateway: gateway, open: map[net.Conn]struct{}{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			clientConn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { n.forward(clientConn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		n.setConnectionLife(time.Nanosecond)
		running.Wait()
	})
	return n
}

// setConnectionLife closes all open connections and sets the lifetime of new ones.
func (n *breakingProxy) setConnectionLife(life time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life = life
	for conn := range n.open {
		conn.Close()
	}
}

func (n *breakingProxy) connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.accepted
}

func (n *breakingProxy) forward(clientConn net.Conn) {
	defer clientConn.Close()
	serverConn, err := net.Dial("tcp", n.gateway)
	if err != nil {
		return
	}
	defer serverConn.Close()
	n.mu.Lock()
	n.accepted++
	n.open[clientConn] = struct{}{}
	if n.life > 0 {
		timer := time.AfterFunc(n.life, func() { clientConn.Close() })
		defer timer.Stop()
	}
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.open, clientConn)
		n.mu.Unlock()
	}()
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{clientConn: serverConn, serverConn: clientConn} {
		both.Go(func() {
			_, _ = io.Copy(to, from)
			clientConn.Close()
			serverConn.Close()
		})
	}
	both.Wait()
}
