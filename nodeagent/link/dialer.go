package link

import (
	"context"
	"net"
)

// DialContext opens a connection, as that of net.Dialer does.
type DialContext func(ctx context.Context, network, address string) (net.Conn, error)

type dialerKey struct{}

// WithDialer makes every Dial under ctx open its connections with dial: for a program that runs
// many agents and gives each an address of its own to come from.
func WithDialer(ctx context.Context, dial DialContext) context.Context {
	return context.WithValue(ctx, dialerKey{}, dial)
}

func dialerOf(ctx context.Context) DialContext {
	if dial, ok := ctx.Value(dialerKey{}).(DialContext); ok {
		return dial
	}
	return DialTCP
}
