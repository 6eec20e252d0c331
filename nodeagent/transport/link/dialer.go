package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"

	"github.com/mooring-dev/mooring/internal/identity"
)

// dialTimeout bounds TCP connection and TLS handshake together.
const dialTimeout = 10 * time.Second

// Dialer opens Links. The zero Dialer connects directly or through the proxy of the environment,
// and writes no log.
type Dialer struct {
	// DialContext opens the TCP connections instead, like net.Dialer.DialContext.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Options are additional options of the gRPC client of each Link, for example interceptors.
	Options []grpc.DialOption
	// Log receives the steps of each dial at debug level.
	Log *slog.Logger
}

// Dial connects to endpoint (host:port). config decides which server certificates are trusted and
// may name the CA of the expected chain. Dial itself sets the protocol.
func (d Dialer) Dial(ctx context.Context, endpoint string, config *tls.Config) (*Link, error) {
	return d.dial(ctx, target{endpoint, endpoint}, config)
}

func (d Dialer) dial(ctx context.Context, t target, config *tls.Config) (*Link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d.debugDial(ctx, t)
	tcpConn, err := d.openConn(ctx, t)
	if err != nil {
		d.log().DebugContext(ctx, "gateway not reached", "address", t.address, "error", err)
		return nil, fmt.Errorf("connect to gateway: %w", err)
	}
	config = config.Clone()
	config.MinVersion = tls.VersionTLS13
	if config.ServerName == "" {
		config.ServerName = identity.ServerName
	}
	config.NextProtos = []string{"h2"}
	tlsConn := tls.Client(tcpConn, config)
	err = tlsConn.HandshakeContext(ctx)
	d.debugHandshake(ctx, t.address, tlsConn, err)
	if err != nil {
		tcpConn.Close()
		return nil, fmt.Errorf("TLS handshake with gateway %s: %w", t.address, err)
	}
	l, err := newLink(tlsConn, d.Options)
	if err != nil {
		tlsConn.Close()
		return nil, err
	}
	l.Address, l.target, l.dialer = t.address, t, d
	return l, nil
}

// openConn opens a connection to a target.
func (d Dialer) openConn(ctx context.Context, t target) (net.Conn, error) {
	if d.DialContext != nil {
		return d.DialContext(ctx, "tcp", t.address)
	}
	return dialTarget(ctx, "tcp", t)
}
