package link

import (
	"context"
	"net"
)

// DialContext opens a connection, like net.Dialer.DialContext.
type DialContext func(ctx context.Context, network, address string) (net.Conn, error)

type dialerKey struct{}

// WithDialer makes every Dial under ctx open its connections with dial. A program that runs many
// agents uses it to give each agent its own source address.
func WithDialer(ctx context.Context, dial DialContext) context.Context {
	return context.WithValue(ctx, dialerKey{}, dial)
}

// openConn opens a connection to a target with the dialer of ctx.
func openConn(ctx context.Context, t target) (net.Conn, error) {
	if dial, ok := ctx.Value(dialerKey{}).(DialContext); ok {
		return dial(ctx, "tcp", t.address)
	}
	return dialTarget(ctx, "tcp", t)
}
