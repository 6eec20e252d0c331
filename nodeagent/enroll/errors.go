package enroll

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/link"
)

// How a pairing can end without an identity. Each has its own exit code.
var (
	// ErrNoCode says that there is nothing to resume and no code to begin with.
	ErrNoCode = errors.New("this machine is not paired: start it with --pairing HOST:PORT --code CODE, or with --pair URI")
	// ErrWrongCode says that the gateway does not accept the code.
	ErrWrongCode = errors.New("the gateway does not accept this pairing code: it is mistyped, expired or already used")
	// ErrNoTriesLeft says that this machine will send nothing more for the code.
	ErrNoTriesLeft = errors.New("the pairing code was tried 3 times from this machine: ask for a new code")
	// ErrUnprovenGateway says that whoever answered does not know the code.
	ErrUnprovenGateway = errors.New("the gateway could not prove that it knows the pairing code: wrong address, or somebody in between; nothing it sent was kept")
	// ErrUnpinnedGateway says that whoever answered is not the gateway of the QR code.
	// Nothing was sent.
	ErrUnpinnedGateway = errors.New("the gateway is not the one the QR code vouches for, nothing was sent to it: wrong address, somebody in between, or the code is older than the gateways' CA; ask for a new code")
	// ErrUnknownGateway says that the mounted CA does not vouch for whoever answered. Nothing was sent.
	ErrUnknownGateway = errors.New("the gateway is not one of the mounted CA, nothing was sent to it: wrong address, somebody in between, or --gateway-ca is older than the gateways' CA")
	// ErrAccountRefused says that the ServiceAccount or its token is not admitted.
	ErrAccountRefused = errors.New("the gateway does not admit this ServiceAccount")
	// ErrNameTaken says that another machine has the wished name.
	ErrNameTaken = errors.New("another machine has this node name: choose one with --name, or ask for a code that replaces the node")
	// ErrDenied says that an approver said no.
	ErrDenied = errors.New("the pairing request was denied")
	// ErrExpired says that nobody decided in time.
	ErrExpired = errors.New("nobody decided about the pairing request in time: ask for a new code")
	// ErrFailed says that the request cannot be completed.
	ErrFailed = errors.New("pairing failed")
)

// refusal says what a gateway's final status means for the person; nil when the
// call may simply be repeated.
func refusal(err error) error {
	message := foreign.Brief(status.Convert(err).Message())
	switch status.Code(err) {
	case codes.Unauthenticated:
		return ErrWrongCode
	case codes.AlreadyExists:
		return ErrNameTaken
	case codes.InvalidArgument, codes.PermissionDenied, codes.OutOfRange:
		return &finalError{ErrFailed, message}
	case codes.Unimplemented:
		return &finalError{ErrFailed, "nothing there answers pairing calls; is this the address of the pairing listener?"}
	default:
		return nil
	}
}

// finalError is one of the errors above and what the gateway said about it.
type finalError struct {
	kind   error
	detail string
}

func (e *finalError) Error() string {
	if e.detail == "" {
		return e.kind.Error()
	}
	return e.kind.Error() + ": " + e.detail
}

func (e *finalError) Unwrap() error { return e.kind }

// stopped tells whether err is only the end of ctx.
func stopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && err != nil
}

// explain is the short reason of a failed try, for people.
func explain(err error) string {
	if s, ok := status.FromError(err); ok {
		return foreign.Brief(s.Message())
	}
	return foreign.Brief(err.Error())
}

// sayAgain prints once for a person why a try will be repeated.
func (p *pairer) sayAgain(err error) {
	line := again(p.Endpoint, err)
	key := line
	var untrusted *identity.CertificateError
	if errors.As(err, &untrusted) {
		key = untrusted.Reason // the line holds the time
	}
	p.Console.SayOnceFor(key, "%s", line)
}

// again is the line for a person about a try that will be repeated. A gateway that answers is
// not called unreachable.
func again(endpoint string, err error) string {
	cause := errors.Unwrap(err)
	var untrusted *identity.CertificateError
	switch {
	case status.Code(cause) == codes.NotFound:
		return fmt.Sprintf("Gateway %s does not know this pairing request: it may have been deleted; asking again", endpoint)
	case errors.As(cause, &untrusted):
		return fmt.Sprintf("Gateway %s cannot be trusted now (%s): is the clock of this machine right? trying again", endpoint, explain(cause))
	case link.Answered(cause):
		return fmt.Sprintf("Gateway %s answers: %s; trying again", endpoint, explain(cause))
	default:
		return fmt.Sprintf("Gateway %s cannot be reached (%s); trying again", endpoint, explain(cause))
	}
}

// verifiedCode is the confirmation of a gateway that verified the code and refused for another
// reason, nil when there is none. It is foreign: the caller verifies it.
func verifiedCode(err error) []byte {
	for _, detail := range status.Convert(err).Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetReason() != gatewayv1.ReasonCodeVerified {
			continue
		}
		if confirmation, err := hex.DecodeString(info.GetMetadata()[gatewayv1.MetadataConfirmation]); err == nil {
			return confirmation
		}
	}
	return nil
}

// maxRetryAfter bounds what a gateway may ask for.
const maxRetryAfter = 5 * time.Minute

// retryAfter is how long the gateway asks not to be tried again; zero when it does not.
func retryAfter(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(0, min(info.GetRetryDelay().AsDuration(), maxRetryAfter))
		}
	}
	return 0
}
