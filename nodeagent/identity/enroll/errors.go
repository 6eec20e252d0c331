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
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// The ways in which a pairing can end without an identity. Each has its own exit code.
var (
	// ErrNoCode means that there is no pairing to resume and no code to start one.
	ErrNoCode = errors.New("this machine is not paired: start it with --pairing HOST:PORT --code CODE, or with --pair URI")
	// ErrWrongCode means that the gateway does not accept the code.
	ErrWrongCode = errors.New("the gateway does not accept this pairing code: it is mistyped, expired or already used")
	// ErrNoTriesLeft means that this machine sends no further confirmation for the code.
	ErrNoTriesLeft = errors.New("the pairing code was tried 3 times from this machine: ask for a new code")
	// ErrUnprovenGateway means that the server did not prove that it knows the code.
	ErrUnprovenGateway = errors.New("the gateway could not prove that it knows the pairing code: wrong address, or an intercepted connection; none of its answers was stored")
	// ErrUnpinnedGateway means that the server is not the gateway of the QR code. Nothing was sent
	// to it.
	ErrUnpinnedGateway = errors.New("the gateway is not the one that the QR code pins, nothing was sent to it: wrong address, an intercepted connection, or the code is older than the gateways' CA; ask for a new code")
	// ErrUnknownGateway means that the server has no certificate of the mounted CA. Nothing was
	// sent to it.
	ErrUnknownGateway = errors.New("the gateway is not one of the mounted CA, nothing was sent to it: wrong address, an intercepted connection, or --gateway-ca is older than the gateways' CA")
	// ErrAccountRefused means that the gateway does not accept the ServiceAccount or its token.
	ErrAccountRefused = errors.New("the gateway does not accept this ServiceAccount")
	// ErrNameTaken means that another machine has the requested name.
	ErrNameTaken = errors.New("another machine has this node name: choose one with --name, or ask for a code that replaces the node")
	// ErrDenied means that an approver denied the request.
	ErrDenied = errors.New("the pairing request was denied")
	// ErrExpired means that the request was not decided in time.
	ErrExpired = errors.New("the pairing request was not decided in time: ask for a new code")
	// ErrFailed means that the request cannot be completed.
	ErrFailed = errors.New("pairing failed")
)

// asFinalError returns the error for a gateway's final status; nil means that the call may be
// repeated.
func asFinalError(err error) error {
	message := foreign.BriefLine(status.Convert(err).Message())
	switch status.Code(err) {
	case codes.Unauthenticated:
		return ErrWrongCode
	case codes.AlreadyExists:
		return ErrNameTaken
	case codes.InvalidArgument, codes.PermissionDenied, codes.OutOfRange:
		return &finalError{ErrFailed, message}
	case codes.Unimplemented:
		return &finalError{ErrFailed, "no pairing service answers there; is this the address of the pairing listener?"}
	default:
		return nil
	}
}

// finalError is one of the errors above with the detail that the gateway sent.
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

// isStopped reports whether err is only the end of ctx.
func isStopped(ctx context.Context, err error) bool {
	return ctx.Err() != nil && err != nil
}

// shortReason returns the short reason of a failed try, for people.
func shortReason(err error) string {
	if s, ok := status.FromError(err); ok {
		return foreign.BriefLine(s.Message())
	}
	return foreign.BriefLine(err.Error())
}

// printRetry prints once for a person why a try will be repeated.
func (p *pairer) printRetry(err error) {
	line := retryMessage(p.Endpoint, err)
	key := line
	var untrusted *identity.CertificateError
	if errors.As(err, &untrusted) {
		key = untrusted.Reason // the line holds the time
	}
	p.Console.PrintOnceFor(key, "%s", line)
}

// retryMessage returns the line for a person about a try that will be repeated. It does not call a
// gateway unreachable that answers.
func retryMessage(endpoint string, err error) string {
	cause := errors.Unwrap(err)
	var untrusted *identity.CertificateError
	switch {
	case status.Code(cause) == codes.NotFound:
		return fmt.Sprintf("Gateway %s does not know this pairing request: it may have been deleted; asking again", endpoint)
	case errors.As(cause, &untrusted):
		return fmt.Sprintf("Gateway %s cannot be trusted now (%s): is the clock of this machine right? trying again", endpoint, shortReason(cause))
	case link.IsGatewayStatus(cause):
		return fmt.Sprintf("Gateway %s answers: %s; trying again", endpoint, shortReason(cause))
	default:
		return fmt.Sprintf("Gateway %s cannot be reached (%s); trying again", endpoint, shortReason(cause))
	}
}

// codeConfirmation returns the confirmation of a gateway that verified the code and refused for
// another reason; nil when there is none. The confirmation is untrusted: the caller verifies it.
func codeConfirmation(err error) []byte {
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

// maxRetryAfter bounds the delay that a gateway may request.
const maxRetryAfter = 5 * time.Minute

// requestedRetryDelay returns the delay before the next try that the gateway requests; zero when it
// requests none.
func requestedRetryDelay(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(0, min(info.GetRetryDelay().AsDuration(), maxRetryAfter))
		}
	}
	return 0
}
