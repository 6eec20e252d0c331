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
	"github.com/mooring-dev/mooring/nodeagent/session"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/stack/simfleet"
)

// connectionLife is the lifetime of a connection in a network that breaks connections.
const connectionLife = time.Second

// The network breaks every connection after a moment, so streams cannot last and the machine polls.
// One polled session continues over many connections. Then its gateway is killed, and the machine
// moves to the other gateway.
func TestPollsWhereStreamsBreak(t *testing.T) {
	t.Parallel()
	f, networks, gateways := breaking(t, "polls", time.Hour)
	a := f.Sim.Agents()[0]
	met := func() int { return networks[0].connections() + networks[1].connections() }
	status := func() v1alpha1.NodeStatus { return f.nodes()[a.Name].Status }
	var asked []*v1alpha1.CapabilityDispatch
	before, already := status(), met()
	for i := range simfleet.Sized(6, 60) {
		asked = append(asked, f.Ended(f.ask(a.Name, time.Duration(i%3)*connectionLife)))
	}
	over, after := met()-already, status()
	f.ranOnce(asked)
	t.Logf("%d dispatches over %d connections of one polled session", len(asked), over)
	if over < 3 || after.SessionID != before.SessionID || after.DialCounter != before.DialCounter {
		t.Errorf("over %d connections session %s (dial %d) became %s (dial %d)", over, before.SessionID, before.DialCounter, after.SessionID, after.DialCounter)
	}
	holder, other := 0, 1
	if strings.HasPrefix(after.Gateway, gateways[1].name+"-") {
		holder, other = 1, 0
	}
	asked = append(asked, f.ask(a.Name, 2*time.Second))
	f.Eventually("it to run", func() bool { return f.Runs.Of(asked[len(asked)-1].Name) == 1 })
	began := time.Now()
	gateways[holder].Kill()
	asked = append(asked, f.ask(a.Name, 0))
	f.Eventually("a session with the other gateway", func() bool { return strings.HasPrefix(status().Gateway, gateways[other].name+"-") })
	t.Logf("the gateway of a polled session was killed: moved after %s", time.Since(began).Round(time.Millisecond))
	f.ranOnce(asked)
	if !polls(a) {
		t.Error("it does not poll any more")
	}
}

// When the network is repaired, the machine detects it and uses streams again.
func TestPollsGiveWayToStreams(t *testing.T) {
	t.Parallel()
	f, networks, _ := breaking(t, "streams", 3*time.Second)
	for _, n := range networks {
		n.limit(0)
	}
	a := f.Sim.Agents()[0]
	f.Eventually("the machine to stream again", func() bool { return a.Online() && !polls(a) })
	f.ranOnce([]*v1alpha1.CapabilityDispatch{f.ask(a.Name, 0)})
}

func polls(a *sim.Agent) bool {
	_, transport := a.Opened()
	return a.Online() && transport == session.TransportPoll
}

// breaking starts a machine in networks that break connections, one network per gateway, and waits
// until it polls.
func breaking(t *testing.T, name string, probe time.Duration) (*fleet, []*network, []*replica) {
	t.Helper()
	gateways := twoOfItsOwn(t, name, "127.0.0.1")
	networks := []*network{newNetwork(t, gateways[0].node), newNetwork(t, gateways[1].node)}
	f := newFleet(t, networks[0].address+","+networks[1].address, 1, func(o *nodeagent.Options) { o.StreamProbe = probe })
	for _, n := range networks {
		n.limit(connectionLife)
	}
	f.Eventually("the machine to poll", func() bool { return polls(f.Sim.Agents()[0]) })
	return f, networks, gateways
}

// network forwards connections to a gateway; it may limit the lifetime of every connection.
type network struct {
	address string
	gateway string

	mu   sync.Mutex
	life time.Duration // 0: no limit
	open map[net.Conn]struct{}
	met  int
}

func newNetwork(t *testing.T, gateway string) *network { return newNetworkAt(t, "127.0.0.1", gateway) }

func newNetworkAt(t *testing.T, host, gateway string) *network {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	n := &network{address: listener.Addr().String(), gateway: gateway, open: map[net.Conn]struct{}{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { n.carry(near) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		n.limit(time.Nanosecond)
		running.Wait()
	})
	return n
}

// limit closes all open connections and sets the lifetime of new ones.
func (n *network) limit(life time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.life = life
	for conn := range n.open {
		conn.Close()
	}
}

func (n *network) connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.met
}

func (n *network) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", n.gateway)
	if err != nil {
		return
	}
	defer far.Close()
	n.mu.Lock()
	n.met++
	n.open[near] = struct{}{}
	if n.life > 0 {
		timer := time.AfterFunc(n.life, func() { near.Close() })
		defer timer.Stop()
	}
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.open, near)
		n.mu.Unlock()
	}()
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{near: far, far: near} {
		both.Go(func() {
			_, _ = io.Copy(to, from)
			near.Close()
			far.Close()
		})
	}
	both.Wait()
}
