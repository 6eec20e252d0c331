package gateway

import (
	"context"
	"errors"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
)

// toStatus maps an error of a service to the status that the caller reads. It is the only place
// that does so. A service returns a status when the caller may read its error. toStatus logs every
// other error and answers in general terms, because the error holds internal details.
func toStatus(log logr.Logger, method string, err error) error {
	if err == nil {
		return nil
	}
	// Only an unwrapped status: for a wrapped one, status.FromError would send the whole chain.
	if bare, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return markGatewayStatus(bare.GRPCStatus())
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the call took too long; try again")
	case isTransient(err):
		log.Info("the cluster does not answer", "method", method, "error", err.Error())
		return denial.New(codes.Unavailable, gatewayv1.ReasonClusterUnreachable, "the gateway cannot reach its cluster now; try again later")
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		// This happens for a moment after the API server's start, or until an operator repairs the
		// gateway's permissions.
		log.Error(err, "the cluster denied a request of the gateway", "method", method)
		return denial.New(codes.Unavailable, gatewayv1.ReasonClusterUnreachable, "the gateway cannot reach its cluster now; try again later")
	default:
		log.Error(err, "call failed", "method", method)
		return denial.New(codes.Internal, gatewayv1.ReasonInternal, "internal error of the gateway; its log has the details")
	}
}

// markGatewayStatus marks a status without a reason whose code a broken connection also ends with.
// An agent counts broken streams to detect a network that breaks them, and must not count this
// status.
func markGatewayStatus(original *status.Status) error {
	if (original.Code() == codes.Unavailable || original.Code() == codes.Internal) && !denial.HasReason(original) {
		return denial.WithReason(original, gatewayv1.ReasonSaidByGateway, nil).Err()
	}
	return original.Err()
}

// isTransient reports whether an error of the Kubernetes API is transient.
func isTransient(err error) bool {
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) || apierrors.IsInternalError(err) ||
		utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		utilnet.IsTimeout(err) || utilnet.IsHTTP2ConnectionLost(err)
}
