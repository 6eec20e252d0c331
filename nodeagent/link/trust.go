package link

import (
	"crypto/tls"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
)

// Verified trusts gateways whose certificate chains to bundle, at the time now
// tells. certificate is the machine's own, nil while it has none.
func Verified(bundle identity.Bundle, certificate *tls.Certificate, now func() time.Time) *tls.Config {
	config := &tls.Config{
		// Go's own check has no leeway for clocks; identity.VerifyServer below
		// replaces it, and VerifyConnection runs on every handshake.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return identity.VerifyServer(state.PeerCertificates, bundle.Pool(), now(), identity.NotBeforeLeeway)
		},
	}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	return config
}

// Unverified trusts nobody yet: for the exchange of a PIN, which proves the
// gateway afterwards, bound to this connection. Nothing received over such a
// link may be kept before the gateway's confirmation was checked.
func Unverified() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true}
}
