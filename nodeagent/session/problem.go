package session

import (
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/renew"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// problemKey returns a key that stays the same while a problem lasts. The sentence about a
// certificate outside of its validity holds the time and changes with every try.
func problemKey(err error, problem string) string {
	var untrusted *identity.CertificateError
	if errors.As(err, &untrusted) {
		return untrusted.Reason
	}
	return problem
}

// describeError returns the sentence for people about the end of a session.
func (r *Runner) describeError(err error) string {
	endpoint := r.Credentials.Endpoint()
	message := foreign.BriefLine(status.Convert(err).Message())
	leaf := r.Credentials.Identity().Leaf()
	var refusal *link.Refusal
	var untrusted *identity.CertificateError
	var clock *renew.ClockAheadError
	switch {
	case errors.As(err, &clock):
		message = clock.Error()
		return strings.ToUpper(message[:1]) + message[1:] + "; trying again"
	case r.Credentials.Expired(r.Now()):
		return "The certificate of this machine expired at " + leaf.NotAfter.UTC().Format(time.RFC3339) +
			" and cannot be recovered (" + message + "): if this problem persists, pair the machine again with another --identity-dir; trying again"
	case link.ExplainDenial(link.DenialReason(err)).Fact != "":
		return "Gateway " + endpoint + " refuses this machine: " + link.ExplainDenial(link.DenialReason(err)).Fact + "; trying again"
	case status.Code(err) == codes.PermissionDenied:
		return "Gateway " + endpoint + " refuses this machine (" + message + "): if its Node was revoked or deleted, pair it again with another --identity-dir; trying again"
	case status.Code(err) == codes.Unauthenticated, errors.As(err, &refusal):
		if refusal != nil {
			message = foreign.BriefLine(refusal.Error())
		}
		return "Gateway " + endpoint + " does not accept the certificate of this machine (" + message + "); trying again"
	case status.Code(err) == codes.Aborted:
		return "Another session of this Node replaced this one (" + message + "): is a copy of the identity directory in use? trying again"
	case errors.As(err, &untrusted):
		return "Gateway " + endpoint + " cannot be trusted (" + foreign.BriefLine(untrusted.Detail) + "); trying again"
	case link.IsGatewayStatus(err):
		return "Gateway " + endpoint + " answers: " + message + "; trying again"
	case errors.Is(err, io.EOF):
		return "Gateway " + endpoint + " ended the session; trying again"
	default:
		return "Gateway " + endpoint + " cannot be reached (" + message + "); trying again"
	}
}
