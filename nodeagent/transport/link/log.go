package link

import (
	"context"
	"crypto/tls"
	"log/slog"
)

type logKey struct{}

// WithLog makes every Dial under ctx log its steps at debug level.
func WithLog(ctx context.Context, log *slog.Logger) context.Context {
	return context.WithValue(ctx, logKey{}, log)
}

func logFrom(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(logKey{}).(*slog.Logger); ok {
		return log
	}
	return slog.New(slog.DiscardHandler)
}

// debugDial logs the address of a dial and the proxy in between, without the user of the proxy.
func debugDial(ctx context.Context, t target) {
	log := logFrom(ctx)
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	through := "none"
	switch proxy, err := ProxyFor(t.endpoint); {
	case err != nil:
		through = "invalid"
	case proxy != nil:
		through = proxy.Host
	}
	log.DebugContext(ctx, "dialing a gateway", "address", t.address, "proxy", through)
}

// debugHandshake logs the result of a TLS handshake.
func debugHandshake(ctx context.Context, address string, conn *tls.Conn, err error) {
	log := logFrom(ctx)
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	if err != nil {
		log.DebugContext(ctx, "TLS handshake failed", "address", address, "error", err)
		return
	}
	state := conn.ConnectionState()
	log.DebugContext(ctx, "TLS handshake finished", "address", address, "version", tls.VersionName(state.Version),
		"serverNotAfter", state.PeerCertificates[0].NotAfter)
}
