// Package link is one TLS connection to a gateway with gRPC on it.
//
// grpc dials, retries and reconnects by itself. Much of the protocol, however, is bound to one
// connection (the SPAKE2 exchange, every proof of the device key). It also needs the reason why a
// handshake was refused. This package therefore opens the connection first and passes it to grpc.
// The Link ends with that connection.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// maxMessageBytes leaves room for an Offer with the largest input.
const maxMessageBytes = 1 << 20

// ErrConnectionEnded means that the connection of a Link has ended.
var ErrConnectionEnded = errors.New("connection to the gateway ended")

// Link is one connection. The caller must close it.
type Link struct {
	// Conn carries the calls; it never reconnects.
	Conn *grpc.ClientConn
	// Exporter binds proofs to this connection: pairing.ExporterLabel, 32 bytes.
	Exporter []byte
	// Address is the dialed address, host:port.
	Address string
	// State is the outcome of the handshake.
	State tls.ConnectionState

	conn   *watchedConn
	dialer Dialer
	target target
}

// Redial opens another connection to the address of the Link, directly or through a proxy as
// before.
func (l *Link) Redial(ctx context.Context, config *tls.Config) (*Link, error) {
	return l.dialer.dial(ctx, l.target, config)
}

func newLink(tlsConn *tls.Conn, options []grpc.DialOption) (*Link, error) {
	state := tlsConn.ConnectionState()
	exporter, err := state.ExportKeyingMaterial(pairing.ExporterLabel, nil, pairing.ExporterLength)
	if err != nil {
		return nil, fmt.Errorf("export keying material: %w", err)
	}
	conn := &watchedConn{Conn: tlsConn}
	var used atomic.Bool
	client, err := grpc.NewClient("passthrough:///"+identity.ServerName, append(slices.Clip(options),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, ErrConnectionEnded
			}
			return conn, nil
		}),
		// TLS runs below, in conn, so grpc has nothing to secure.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithIdleTimeout(0),
	)...)
	if err != nil {
		return nil, fmt.Errorf("prepare grpc: %w", err)
	}
	return &Link{Conn: client, Exporter: exporter, State: state, conn: conn}, nil
}

// RefusalError returns the reason why the gateway refused this connection, or nil. In TLS 1.3 the
// refusal of a client certificate shows only after the handshake. It arrives as an alert (*Refusal
// with Alert). If the client's own bytes cross the alert, the connection ends before the gateway
// sent anything.
func (l *Link) RefusalError() error {
	if refusal := l.conn.refusal(); refusal != nil {
		return refusal
	}
	return nil
}

// Close ends the connection and every call on it.
func (l *Link) Close() error {
	return errors.Join(l.Conn.Close(), ignoreClosed(l.conn.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
