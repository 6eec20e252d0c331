package pairing

import (
	"encoding/hex"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// errCodeNotAccepted is the common answer to an unknown, a wrong, a spent and an expired code.
var errCodeNotAccepted = denial.New(codes.Unauthenticated, gatewayv1.ReasonCodeNotAccepted,
	"the pairing code is not accepted: it is wrong, used, expired or burnt; check it, or ask for a new one")

// errExchangeNotFound answers a Complete whose exchange belongs to another connection, is used or
// is over.
var errExchangeNotFound = denial.New(codes.FailedPrecondition, gatewayv1.ReasonExchangeNotFound,
	"there is no such pairing session on this connection; begin again")

// errRequestNotFound answers a poll for a request that does not exist.
var errRequestNotFound = denial.New(codes.NotFound, gatewayv1.ReasonPairingRequestNotFound, "there is no such pairing request for this key; pair the machine again")

// errBadProof answers a signature that is not by the key over this call and connection.
var errBadProof = denial.New(codes.Unauthenticated, gatewayv1.ReasonProofInvalid, "the proof is not a signature of the machine's key over this call and connection")

// errRecoveryDenied answers every recovery that is not allowed, whatever the reason.
var errRecoveryDenied = denial.New(codes.PermissionDenied, gatewayv1.ReasonRecoveryDenied,
	"this identity cannot be recovered: the Node is unknown, revoked or has another key, or the certificate expired too long ago; pair the machine again")

func invalidArgument(format string, args ...any) error {
	return denial.Newf(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, format, args...)
}

// storeRetry is the delay before the next attempt of a machine whose request the cluster did not
// store.
const storeRetry = 15 * time.Second

// retryableError returns the refusal for a machine that knows its code, when the reason may pass:
// no room, a quota, a busy API server. It carries the proof that the code was verified, so that the
// machine counts no try. It returns other errors unchanged.
func (s *Service) retryableError(err error, keys *spake.Keys) error {
	refused, ok := status.FromError(err)
	if !ok {
		s.options.Log.Error(err, "the cluster does not store a pairing request")
		refused = status.Convert(denial.New(codes.Unavailable, gatewayv1.ReasonPairingRequestNotStored, storeErrorText(err)))
	}
	if refused.Code() != codes.Unavailable && refused.Code() != codes.ResourceExhausted {
		return err
	}
	refused = denial.WithReason(refused, gatewayv1.ReasonCodeVerified,
		map[string]string{gatewayv1.MetadataConfirmation: hex.EncodeToString(keys.Confirmation())})
	if !ok {
		refused = denial.WithRetry(refused, storeRetry)
	}
	return refused.Err()
}

// storeErrorText returns the explanation of an API server error for a machine with the right code.
func storeErrorText(err error) string {
	switch {
	case apierrors.IsForbidden(err):
		return "the code is right, but the cluster refuses the pairing request, by a quota or a policy; ask the issuer of the code"
	case apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsServiceUnavailable(err):
		return "the code is right, but the API server of the cluster is busy"
	default:
		return "the code is right, but the gateway cannot store the pairing request now; its log has the reason"
	}
}
