package link

import (
	"crypto/tls"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
)

// Verified trusts gateways whose certificate chains to bundle, at the time now
// tells. certificate is the machine's own, nil while it has none.
func Verified(bundle identity.Bundle, certificate *tls.Certificate, now func() time.Time) *tls.Config {
	config := verifiedBy(func(state tls.ConnectionState) error {
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

// Pinned trusts only gateways under the one CA whose key has the fingerprint caPin
// (lower-case hex SHA-256, from a QR code). The handshake ends before anything is
// sent to another server. Its refusals wrap *identity.CertificateError.
func Pinned(caPin string, now func() time.Time) *tls.Config {
	config := verifiedBy(func(state tls.ConnectionState) error {
		return identity.VerifyPinnedServer(state.PeerCertificates, caPin, now(), identity.NotBeforeLeeway)
	})
	config.ServerName = identity.ServerNameUnder(caPin)
	return config
}

// verifiedBy puts verify in the place of Go's own check, which has no leeway for
// clocks. VerifyConnection runs on every handshake, resumed ones included.
func verifiedBy(verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, VerifyConnection: verify}
}

// Unverified trusts nobody yet: for the exchange of a PIN, which proves the
// gateway afterwards, bound to this connection. Nothing received over such a
// link may be kept before the gateway's confirmation was checked.
func Unverified() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true}
}
