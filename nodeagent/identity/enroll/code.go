package enroll

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// pairingCode is the secret that a person handed to the machine: a typed code or the content of a
// QR code. After this point the two differ only in the servers that they trust.
type pairingCode struct {
	lookupID, secret string
	// caPin is the server CA that a QR code pins; empty for a typed code.
	caPin string
}

// newPairingCode returns the pairing code of the options; nil means that the pairing can only be
// resumed.
func newPairingCode(o Options) *pairingCode {
	switch {
	case o.Invitation != nil:
		return &pairingCode{lookupID: o.Invitation.LookupID, secret: o.Invitation.Secret, caPin: o.Invitation.CASHA256}
	case o.Code != nil:
		return &pairingCode{lookupID: o.Code.LookupID, secret: o.Code.PIN}
	default:
		return nil
	}
}

// tlsConfig returns the TLS configuration of the exchange. A typed code accepts every server, which
// then has to prove that it knows the code. A QR code accepts only a server of the pinned CA.
func (t *pairingCode) tlsConfig(now func() time.Time) *tls.Config {
	if t.caPin != "" {
		return link.PinnedTLSConfig(t.caPin, now)
	}
	return link.UnverifiedTLSConfig()
}

// classifyDialError returns a final error for a server that is not the pinned one. For a network or
// clock failure, which may pass, it returns a retryable error.
func classifyDialError(err error) error {
	var certErr *identity.CertificateError
	if !errors.As(err, &certErr) {
		return &retryableError{err}
	}
	switch certErr.Reason {
	case identity.ReasonNotYetValid, identity.ReasonExpired:
		return &retryableError{err}
	default:
		return &finalError{ErrUnpinnedGateway, foreign.BriefLine(certErr.Detail)}
	}
}
