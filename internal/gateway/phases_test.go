package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// A change of a phase must also change the table that operators read.
func TestThePhasesAreTheOnesInTheReference(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	size := func(bytes int) string {
		switch {
		case bytes >= 1<<20 && bytes%(1<<20) == 0:
			return fmt.Sprintf("%d MiB", bytes>>20)
		case bytes >= 1<<10:
			return fmt.Sprintf("%d KiB", bytes>>10)
		default:
			return fmt.Sprint(bytes)
		}
	}
	var table strings.Builder
	for _, p := range phases(DefaultLimits()) {
		deadline := p.deadline.String()
		if p.contended > 0 {
			deadline += fmt.Sprintf(" (%s)", p.contended)
		}
		count := func(connections int) string {
			if connections == 0 {
				return "per machine"
			}
			return fmt.Sprint(connections)
		}
		bytesOf := func(connections, bytes int) string {
			if connections == 0 && bytes == 0 && p.bytes > 0 {
				return "per machine"
			}
			return size(bytes)
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", p.listener, p.name, deadline, count(p.perSource), count(p.total),
			size(p.bytes), bytesOf(p.perSource, p.bytesPerSource()), bytesOf(p.total, p.bytesTotal()))
	}
	if !strings.Contains(string(page), table.String()) {
		t.Errorf("docs/reference/limits.md does not have the table\n%s", table.String())
	}
}

// stopInPhase has a function for each phase that opens a connection and stops in the phase. The
// gateway must close the connection.
var stopInPhase = map[string]func(t *testing.T, r *testGateway, listener string) net.Conn{
	"waits for its turn": func(t *testing.T, r *testGateway, listener string) net.Conn {
		r.dialSilent(t, listener) // takes the only turn of its address
		return r.dialSilent(t, listener)
	},
	"accepted, no byte yet": func(t *testing.T, r *testGateway, listener string) net.Conn { return r.dialSilent(t, listener) },
	"ClientHello": func(t *testing.T, r *testGateway, listener string) net.Conn {
		c := r.dialSilent(t, listener)
		mustWrite(t, c, []byte{recordTypeHandshake, 3, 1, 2, 0, 1, 0})
		return c
	},
	"client certificate and Finished": func(t *testing.T, r *testGateway, listener string) net.Conn {
		c := &firstFlight{Conn: r.dialSilent(t, listener)}
		if err := tls.Client(c, r.tlsOf(t, listener)).HandshakeContext(t.Context()); err != nil {
			t.Fatal(err) // the client has sent everything
		}
		return c
	},
	"HTTP/2 preface": func(t *testing.T, r *testGateway, listener string) net.Conn { return r.dialHandshaken(t, listener) },
	"frame or headers": func(t *testing.T, r *testGateway, listener string) net.Conn {
		c := r.dialHandshaken(t, listener)
		w := newFrameWriter()
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: callHeaders(listener)})
		mustWrite(t, c, w.Bytes())
		return c
	},
	"message": func(t *testing.T, r *testGateway, listener string) net.Conn {
		c := r.dialHandshaken(t, listener)
		w := newFrameWriter()
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: callHeaders(listener), EndHeaders: true})
		_ = w.WriteData(1, false, grpcMessage(100, 99))
		mustWrite(t, c, w.Bytes())
		return c
	},
	"idle": func(t *testing.T, r *testGateway, listener string) net.Conn {
		c := r.dialHandshaken(t, listener)
		mustWrite(t, c, newFrameWriter().Bytes())
		return c
	},
}

// A connection that stops in any phase of the table is closed. The test fails for a phase without a
// function in stopInPhase.
func TestAConnectionThatStopsInAnyPhaseIsClosed(t *testing.T) {
	for _, p := range phases(DefaultLimits()) {
		if p.name == "long poll" {
			continue // TestALongPollEnds
		}
		t.Run(p.listener+", "+p.name, func(t *testing.T) {
			t.Parallel()
			stop := stopInPhase[p.name]
			if stop == nil {
				t.Fatal("no test stops in this phase")
			}
			if p.deadline <= 0 {
				t.Error("this phase has no deadline")
			}
			r := startGateway(t, func(_ *testGateway, o *Options) {
				o.bounds = defaultBounds(o.Limits)
				for _, b := range []*bounds{&o.bounds.pairing, &o.bounds.node} {
					b.shortenPhase(p.name)
				}
			})
			c := stop(t, r, p.listener)
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is still open")
			}
			soon.True(t, "its place is free", func() bool { return r.openConnections(p.listener) <= 1 }) // one has the turn
		})
	}
}

// shortenPhase shortens the deadline of one phase and disables the others.
func (b *bounds) shortenPhase(name string) {
	const soon, never = 200 * time.Millisecond, time.Hour
	b.handshake.silent, b.handshake.silentWhileOthersWait, b.handshake.queue = never, never, never
	b.handshake.handshake, b.handshake.handshakeWhileOthersWait = never, never
	b.receive.headers, b.receive.message, b.idle, b.ping, b.connection = never, never, 0, never, never
	switch name {
	case "waits for its turn":
		b.handshake.concurrent, b.handshake.queue = 2, soon
	case "accepted, no byte yet":
		b.handshake.silent = soon
	case "ClientHello", "client certificate and Finished":
		b.handshake.handshake = soon
	case "HTTP/2 preface":
		b.connection = soon
	case "frame or headers":
		b.receive.headers = soon
	case "message":
		b.receive.message = soon
	case "idle":
		b.ping, b.pong = time.Second, soon // grpc pings once a second at most
	}
}

// A waiting call ends after its time, whatever its handler does.
func TestALongPollEnds(t *testing.T) {
	const soon = 100 * time.Millisecond
	r := startGateway(t, func(_ *testGateway, o *Options) {
		o.bounds = defaultBounds(o.Limits)
		o.bounds.pairing.call = soon
		o.bounds.node.age, o.bounds.node.grace = soon, soon
	})
	if _, err := r.pairingClient(t).GetPairingRequestStatus(t.Context(), &gatewayv1.GetPairingRequestStatusRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a poll without a change: got %v, want DeadlineExceeded", err)
	}
	stream, err := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot)).StreamNodeEvents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("a stream stays open beyond the age of its connection")
	}
}

func (pairingService) GetPairingRequestStatus(ctx context.Context, r *gatewayv1.GetPairingRequestStatusRequest) (*gatewayv1.GetPairingRequestStatusResponse, error) {
	if r.GetName() != "" {
		return nil, status.Error(codes.NotFound, "no such request")
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (r *testGateway) address(listener string) string {
	if listener == nodeListener {
		return r.nodeAddress()
	}
	return r.pairingAddress()
}

func (r *testGateway) tlsOf(t *testing.T, listener string) *tls.Config {
	if listener == nodeListener {
		return r.clientTLS(r.deviceCA.IssueDeviceTLS(t, robot))
	}
	return r.clientTLS()
}

// dialSilent opens a connection and sends nothing.
func (r *testGateway) dialSilent(t *testing.T, listener string) net.Conn {
	t.Helper()
	return dialRaw(t, "127.0.0.1", r.address(listener))
}

func dialRaw(t *testing.T, from, to string) net.Conn {
	t.Helper()
	dialer := net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := dialer.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// dialHandshaken opens a connection and completes its handshake.
func (r *testGateway) dialHandshaken(t *testing.T, listener string) *tls.Conn {
	t.Helper()
	c, err := dialTLS(t, r.address(listener), r.tlsOf(t, listener))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// firstFlight sends the first write of a client and drops the later ones.
type firstFlight struct {
	net.Conn
	wrote bool
}

func (c *firstFlight) Write(p []byte) (int, error) {
	if c.wrote {
		return len(p), nil
	}
	c.wrote = true
	return c.Conn.Write(p)
}

func mustWrite(t *testing.T, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

// callHeaders returns the encoded headers of a call.
func callHeaders(listener string) []byte {
	path := "/mooring.gateway.v1.PairingService/BeginPairingSession"
	if listener == nodeListener {
		path = "/mooring.gateway.v1.NodeService/RegisterNode"
	}
	var b bytes.Buffer
	encoder := hpack.NewEncoder(&b)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":path", Value: path},
		{Name: ":authority", Value: "gateway.mooring"}, {Name: "content-type", Value: "application/grpc"}, {Name: "te", Value: "trailers"},
	} {
		_ = encoder.WriteField(field) // to memory
	}
	return b.Bytes()
}
