package session_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// network is a proxy in front of a gateway that can break its connections.
type network struct {
	address  string
	mu       sync.Mutex
	open     []net.Conn
	accepted int
}

func newNetwork(t *testing.T, gateway string) *network {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{address: listener.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			clientConn, err := listener.Accept()
			if err != nil {
				return
			}
			gatewayConn, err := net.Dial("tcp", gateway)
			if err != nil {
				clientConn.Close()
				continue
			}
			n.mu.Lock()
			n.open, n.accepted = append(n.open, clientConn, gatewayConn), n.accepted+1
			n.mu.Unlock()
			for from, to := range map[net.Conn]net.Conn{clientConn: gatewayConn, gatewayConn: clientConn} {
				running.Go(func() {
					_, _ = io.Copy(to, from)
					clientConn.Close()
					gatewayConn.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		n.cut()
		running.Wait()
	})
	return n
}

func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.open {
		conn.Close()
	}
	n.open = nil
}

func (n *network) connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.accepted
}

// awaitHeartbeat waits for a heartbeat that was sent after this call, which is the second one from now.
func awaitHeartbeat(t *testing.T, s *fakegateway.Session) {
	t.Helper()
	for range 2 {
		fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Heartbeat { return m.GetHeartbeat() })
	}
}

func TestAPolledSessionOutlivesItsConnections(t *testing.T) {
	g := fakegateway.Start(t)
	n := newNetwork(t, g.NodeEndpoint)
	g.NodeEndpoint = n.address
	a := startPolling(t, g)
	s := g.Node.NextSession(t)
	a.screen.await(t, "Session open")
	for i, uid := range []string{"a", "b", "c", "d", "e"} {
		n.cut()
		awaitHeartbeat(t, s)
		if n.connections() < i+2 {
			t.Fatalf("%d connections after %d cuts", n.connections(), i+1)
		}
		s.Send(t, offer(uid, "echo"))
		if r := awaitResult(t, s, uid); r.GetOutcome() != gatewayv1.Result_OUTCOME_SUCCEEDED {
			t.Errorf("result: %v", r)
		}
		s.Send(t, settled(uid))
	}
	select {
	case again := <-g.Node.Sessions:
		t.Errorf("the agent sent another Hello: %v", again.Hello)
	default:
	}
}

func TestAPolledSessionThatTheGatewayForgotBeginsAnew(t *testing.T) {
	g := fakegateway.Start(t)
	n := newNetwork(t, g.NodeEndpoint)
	g.NodeEndpoint = n.address
	a := startPolling(t, g)
	first := g.Node.NextSession(t)
	a.screen.await(t, "Session open")
	g.Node.DropPolledSession()
	n.cut()
	second := g.Node.NextSession(t)
	if second.Hello.GetDialCounter() <= first.Hello.GetDialCounter() {
		t.Errorf("dial %d after dial %d", second.Hello.GetDialCounter(), first.Hello.GetDialCounter())
	}
}

// TestAGatewayThatIsGoneGivesWayToAnother has one dead address and one live address. The agent
// tries them in random order.
func TestAGatewayThatIsGoneGivesWayToAnother(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() // it accepts connections and closes them before the handshake
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	g := fakegateway.Start(t)
	g.NodeEndpoint = listener.Addr().String() + "," + g.NodeEndpoint
	a := &agent{transport: transport.Stream}
	a.start(t, g, time.Hour)
	for range 6 {
		g.Node.NextSession(t).End(nil)
	}
	g.Node.NextSession(t)
}
