package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// Each way to fail a handshake has its reason in the metric and, in a bounded sample, in the log.
func TestARefusedHandshakeHasItsReasonInMetricAndLog(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	log := funcr.New(func(_, args string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, args)
	}, funcr.Options{})
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Log = log })
	secure := func(change func(*tls.Config)) func(t *testing.T) {
		return func(t *testing.T) {
			config := r.clientTLS(r.deviceCA.IssueDeviceTLS(t, robot))
			change(config)
			if conn, err := dialTLS(t, r.nodeAddress(), config); err == nil {
				_, _ = conn.Read(make([]byte, 1)) // the refusal may arrive after the client's part of the handshake
			}
		}
	}
	raw := func(p []byte) func(t *testing.T) {
		return func(t *testing.T) { _, _ = r.dialSilent(t, nodeListener).Write(p) }
	}
	for reason, send := range map[string]func(t *testing.T){
		reasonPlainText:       raw([]byte("GET / HTTP/1.1\r\n\r\n")),
		reasonOldTLS:          secure(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
		reasonNoALPN:          secure(func(c *tls.Config) { c.NextProtos = nil }),
		reasonNoCertificate:   secure(func(c *tls.Config) { c.Certificates = nil }),
		reasonBadCertificate:  secure(func(c *tls.Config) { c.Certificates[0].Certificate = [][]byte{[]byte("no certificate")} }),
		reasonRefusedByClient: secure(func(c *tls.Config) { c.ServerName = "elsewhere.test" }),
		reasonTooLarge: secure(func(c *tls.Config) {
			c.Certificates[0].Certificate = append(c.Certificates[0].Certificate, make([]byte, 261_000))
		}),
	} {
		t.Run(reason, func(t *testing.T) {
			before := r.refusedCount(nodeListener, reason)
			send(t)
			soon.True(t, "the refusal is counted", func() bool { return r.refusedCount(nodeListener, reason) > before })
			mu.Lock()
			defer mu.Unlock()
			if last := lines[len(lines)-1]; !strings.Contains(last, `"reason"="`+reason+`"`) || !strings.Contains(last, `"address"="127.0.0.1:`) {
				t.Errorf("the last line of the log is %s", last)
			}
		})
	}
	t.Run("many", func(t *testing.T) {
		const many = 100
		mu.Lock()
		before := len(lines)
		mu.Unlock()
		counted := r.refusedCount(nodeListener, reasonPlainText)
		for range many {
			raw([]byte("GET / HTTP/1.1\r\n\r\n"))(t)
		}
		soon.True(t, "all are counted", func() bool { return r.refusedCount(nodeListener, reasonPlainText) == counted+many })
		mu.Lock()
		defer mu.Unlock()
		if logged := len(lines) - before; logged > many/2 {
			t.Errorf("%d of %d are logged, want a sample", logged, many)
		}
	})
	t.Run("connect and close", func(t *testing.T) {
		mu.Lock()
		before := len(lines)
		mu.Unlock()
		for range 50 {
			r.dialSilent(t, nodeListener).Close()
		}
		soon.True(t, "all are counted", func() bool { return r.refusedCount(nodeListener, reasonClosed) >= 50 })
		mu.Lock()
		defer mu.Unlock()
		if len(lines) != before {
			t.Errorf("a health check of a load balancer is logged: %s", lines[len(lines)-1])
		}
	})
}

// sendUnfinished opens a connection with calls whose messages lack their last byte.
func (r *testGateway) sendUnfinished(from string, calls, message int) error {
	dialer := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}, Config: r.clientTLS()}
	c, err := dialer.Dial("tcp", r.pairingAddress())
	if err != nil {
		return err
	}
	defer c.Close()
	w := newFrameWriter()
	for i := range calls {
		stream := uint32(2*i + 1)
		_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: callHeaders(pairingListener), EndHeaders: true})
		for rest := grpcMessage(message, message-1); len(rest) > 0; {
			n := min(len(rest), 16<<10)
			_ = w.WriteData(stream, false, rest[:n])
			rest = rest[n:]
		}
	}
	if _, err := c.Write(w.Bytes()); err != nil {
		return err
	}
	for {
		if _, err := c.Read(make([]byte, 1024)); err != nil {
			return err
		}
	}
}

// The unfinished messages of all connections are bounded, from one address and from twenty. A
// machine is served meanwhile.
func TestUnfinishedMessagesAreBoundedOverAllConnections(t *testing.T) {
	for _, addresses := range []int{1, 20} {
		t.Run(fmt.Sprint(addresses), func(t *testing.T) {
			r := startGateway(t, func(_ *testGateway, o *Options) {
				o.Log = logr.Discard()
				o.Limits.CallBurst, o.Limits.BeginBurst = 1<<20, 1<<20
			})
			flood, stop := context.WithCancel(t.Context())
			var flooders sync.WaitGroup
			var opened atomic.Int64
			for i := range 80 {
				flooders.Go(func() {
					for flood.Err() == nil {
						opened.Add(1)
						_ = r.sendUnfinished(fmt.Sprintf("127.0.3.%d", 1+i%addresses), 3, maxPairingMessage)
					}
				})
			}
			soon.True(t, "connections are closed for what they hold", func() bool { return r.refusedCount(pairingListener, reasonReceiveBudget) > 20 })
			began, most := time.Now(), int64(0)
			for range 10 {
				if _, err := r.pairingClient(t).BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{}); err != nil {
					t.Errorf("a machine: %v", err)
				}
				most = max(most, r.budget.Load().total.Load())
			}
			t.Logf("10 machines were served in %s, %d bytes were unfinished, %d connections opened", time.Since(began), most, opened.Load())
			if limit := int64(pairingBounds.receive.total + 80*pairingBounds.receive.perConnection); most > limit {
				t.Errorf("%d bytes are unfinished, want at most %d", most, limit)
			}
			stop()
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			flooders.Wait()
			if counted := r.budget.Load().total.Load(); counted != 0 {
				t.Errorf("%d bytes are counted without a connection", counted)
			}
		})
	}
}

// A message larger than any message of an honest machine is refused, and the connection goes on.
func TestAPairingMessageIsNoLargerThanHonestOnes(t *testing.T) {
	r := startGateway(t)
	client := r.pairingClient(t)
	token := &gatewayv1.CompletePairingSessionRequest{Evidence: &gatewayv1.CompletePairingSessionRequest_ServiceAccount{
		ServiceAccount: &gatewayv1.ServiceAccountToken{Token: strings.Repeat("t", 16<<10)}}, RequestedCapabilities: manyNames()}
	if _, err := client.CompletePairingSession(t.Context(), token); status.Code(err) != codes.Unimplemented {
		t.Errorf("the largest honest message: %v, want it to reach the service", err)
	}
	if _, err := client.BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{Share: make([]byte, maxPairingMessage)}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a larger message: %v, want ResourceExhausted", err)
	}
	if _, err := client.BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{}); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func manyNames() (names []string) {
	for range 64 {
		names = append(names, strings.Repeat("n", 128))
	}
	return names
}

// One address has as many silent connections as it may, and hundreds of other addresses have some.
// A machine is served at once, because each new connection closes the one that has waited longest.
func TestSilentConnectionsDoNotShutTheListener(t *testing.T) {
	for name, from := range map[string]func(i int) string{
		"from one address":       func(int) string { return "127.0.0.1" },
		"from hundreds of them":  func(i int) string { return fmt.Sprintf("127.0.%d.%d", 4+i%2, 1+i/2%200) },
		"handshaken, from a few": func(i int) string { return fmt.Sprintf("127.0.6.%d", 1+i%4) },
	} {
		t.Run(name, func(t *testing.T) {
			r := startGateway(t, func(_ *testGateway, o *Options) { o.Log = logr.Discard() })
			for i := range 900 {
				c := dialRaw(t, from(i), r.pairingAddress())
				if strings.HasPrefix(name, "handshaken") {
					_ = tls.Client(c, r.clientTLS()).HandshakeContext(t.Context()) // may be closed for the next one
				}
			}
			began := time.Now()
			if _, err := r.pairingClient(t).BeginPairingSession(t.Context(), &gatewayv1.BeginPairingSessionRequest{}); err != nil {
				t.Errorf("a machine: %v", err)
			}
			t.Logf("a machine was served in %s", time.Since(began))
		})
	}
}
