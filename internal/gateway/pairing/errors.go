package pairing

import (
	"encoding/hex"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// errCodeNotAccepted is the common answer to an unknown, a wrong, a spent and an expired code.
var errCodeNotAccepted = status.Error(codes.Unauthenticated,
	"the pairing code is not accepted: it is wrong, used, expired or burnt; check it, or ask for a new one")

// errExchangeNotFound answers a Complete whose exchange belongs to another connection, is used or
// is over.
var errExchangeNotFound = status.Error(codes.FailedPrecondition,
	"there is no such pairing session on this connection; begin again")

// errRequestNotFound answers a poll for a request that does not exist.
var errRequestNotFound = status.Error(codes.NotFound, "there is no such pairing request for this key; pair the machine again")

// errBadProof answers a signature that is not by the key over this call and connection.
var errBadProof = status.Error(codes.Unauthenticated, "the proof is not a signature of the machine's key over this call and connection")

// errRecoveryDenied answers every recovery that is not allowed, whatever the reason.
var errRecoveryDenied = status.Error(codes.PermissionDenied,
	"this identity cannot be recovered: the Node is unknown, revoked or has another key, or the certificate expired too long ago; pair the machine again")

func invalidArgument(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
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
		refused = status.New(codes.Unavailable, storeErrorText(err))
	}
	if refused.Code() != codes.Unavailable && refused.Code() != codes.ResourceExhausted {
		return err
	}
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(&errdetails.ErrorInfo{
		Reason: gatewayv1.ReasonCodeVerified, Domain: v1alpha1.GroupVersion.Group,
		Metadata: map[string]string{gatewayv1.MetadataConfirmation: hex.EncodeToString(keys.Confirmation())},
	})}
	if !ok {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(storeRetry)}))
	}
	if detailed, err := refused.WithDetails(details...); err == nil {
		refused = detailed
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

// resourceExhausted returns a ResourceExhausted status with the delay before the next attempt.
func resourceExhausted(wait time.Duration, text string) error {
	refused := status.New(codes.ResourceExhausted, text)
	if detailed, err := refused.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
		refused = detailed
	}
	return refused.Err()
}
