package enroll

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/link"
)

// ticket is what a person handed to the machine: a code that was typed, or the
// content of a QR code. From here on the two differ only in whom they trust.
type ticket struct {
	lookupID, secret string
	// caPin is the server CA that a QR code pins; empty for a typed code.
	caPin string
}

// newTicket is nil when the pairing can only be resumed.
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

// trust says with whom the exchange may be run: with anybody, who then has to
// prove the code, or only with whom the QR code vouches for.
func (t *ticket) trust(now func() time.Time) *tls.Config {
	if t.caPin != "" {
		return link.Pinned(t.caPin, now)
	}
	return link.Unverified()
}

// undialed tells a server that is not the pinned one, which is final, from a
// network or a clock that may be better in a moment.
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
