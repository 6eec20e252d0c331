package link

import (
	"context"
	"crypto/tls"
	"log/slog"
)

func (d Dialer) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

// debugDial logs the address of a dial and the proxy in between, without the user of the proxy.
func (d Dialer) debugDial(ctx context.Context, t target) {
	log := d.log()
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
func (d Dialer) debugHandshake(ctx context.Context, address string, conn *tls.Conn, err error) {
	log := d.log()
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
