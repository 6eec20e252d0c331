package enroll

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/link"
)

// ticket is the secret that a person handed to the machine: a typed code or the content of a QR
// code. After this point the two differ only in the servers that they trust.
type ticket struct {
	lookupID, secret string
	// caPin is the server CA that a QR code pins; empty for a typed code.
	caPin string
}

// newTicket returns the ticket of the options; nil means that the pairing can only be resumed.
func newTicket(o Options) *ticket {
	switch {
	case o.Invitation != nil:
		return &ticket{lookupID: o.Invitation.LookupID, secret: o.Invitation.Secret, caPin: o.Invitation.CASHA256}
	case o.Code != nil:
		return &ticket{lookupID: o.Code.LookupID, secret: o.Code.PIN}
	default:
		return nil
	}
}

// trust returns the TLS configuration of the exchange. A typed code accepts every server, which
// then has to prove that it knows the code. A QR code accepts only a server of the pinned CA.
func (t *ticket) trust(now func() time.Time) *tls.Config {
	if t.caPin != "" {
		return link.Pinned(t.caPin, now)
	}
	return link.Unverified()
}

// undialed returns a final error for a server that is not the pinned one, and a retryable error for
// a network or clock failure that may pass.
func undialed(err error) error {
	var refused *identity.CertificateError
	if !errors.As(err, &refused) {
		return &againError{err}
	}
	switch refused.Reason {
	case identity.ReasonNotYetValid, identity.ReasonExpired:
		return &againError{err}
	default:
		return &finalError{ErrUnpinnedGateway, foreign.Brief(refused.Detail)}
	}
}
