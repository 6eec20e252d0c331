package link

import (
	"crypto/tls"
	"fmt"
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

// CheckBundle tells whether bundle admits the very gateway at the other end, by its certificate
// at the time now: one that does not would lock this machine out once it is stored. Its
// refusals wrap *identity.CertificateError.
func (l *Link) CheckBundle(bundle identity.Bundle, now time.Time) error {
	if err := identity.VerifyServer(l.State.PeerCertificates, bundle.Pool(), now, identity.NotBeforeLeeway); err != nil {
		return fmt.Errorf("the CA bundle does not admit the gateway that sent it: %w", err)
	}
	return nil
}

// Presented is a moment at which the gateway's certificate is good by its own word, for checks
// before the clock of this machine can be judged; the zero time when it showed none.
func (l *Link) Presented() time.Time {
	if len(l.State.PeerCertificates) == 0 {
		return time.Time{}
	}
	return l.State.PeerCertificates[0].NotBefore
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
