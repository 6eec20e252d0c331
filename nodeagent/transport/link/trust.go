package link

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
)

// TLSConfig trusts gateways whose certificate chains to bundle at the time now(). certificate is
// the machine's own and nil while it has none.
func TLSConfig(bundle identity.Bundle, certificate *tls.Certificate, now func() time.Time) *tls.Config {
	config := configWithVerifier(func(state tls.ConnectionState) error {
		return identity.VerifyServer(state.PeerCertificates, bundle.Pool(), now(), identity.NotBeforeLeeway)
	})
	config.ServerName = bundle.ServerName()
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	return config
}

// PinnedTLSConfig trusts only gateways under the one CA whose key has the fingerprint caPin
// (lower-case hex SHA-256, from a QR code). The handshake ends before the machine sends anything to
// another server. Its errors wrap *identity.CertificateError.
func PinnedTLSConfig(caPin string, now func() time.Time) *tls.Config {
	config := configWithVerifier(func(state tls.ConnectionState) error {
		return identity.VerifyPinnedServer(state.PeerCertificates, caPin, now(), identity.NotBeforeLeeway)
	})
	config.ServerName = identity.ServerNameForCA(caPin)
	return config
}

// CheckBundle checks that bundle trusts the certificate of this connection's gateway at the time
// now. A stored bundle that does not would lock this machine out. Its errors wrap
// *identity.CertificateError.
func (l *Link) CheckBundle(bundle identity.Bundle, now time.Time) error {
	if err := identity.VerifyServer(l.State.PeerCertificates, bundle.Pool(), now, identity.NotBeforeLeeway); err != nil {
		return fmt.Errorf("the CA bundle does not trust the gateway that sent it: %w", err)
	}
	return nil
}

// CertificateNotBefore returns NotBefore of the gateway's certificate, a moment at which the
// certificate claims to be valid. Checks that run before this machine's clock is verified use it.
// The zero time means that the gateway presented no certificate.
func (l *Link) CertificateNotBefore() time.Time {
	if len(l.State.PeerCertificates) == 0 {
		return time.Time{}
	}
	return l.State.PeerCertificates[0].NotBefore
}

// configWithVerifier replaces Go's own check, which has no leeway for clocks, with verify.
// VerifyConnection runs on every handshake, resumed ones included.
func configWithVerifier(verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, VerifyConnection: verify}
}

// UnverifiedTLSConfig checks no certificate. It is for the exchange of a PIN, which proves the
// gateway afterwards and is bound to this connection. The caller must not store any data from such
// a link before it has verified the gateway's confirmation.
func UnverifiedTLSConfig() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true}
}
