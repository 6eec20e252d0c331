package gateway

import (
	"context"
	"errors"

	"github.com/go-logr/logr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// toStatus is the one place where an error becomes what a stranger reads. A service
// that means to be read returns a status; everything else is detail of the inside: it
// is logged here and answered in general terms.
func toStatus(log logr.Logger, method string, err error) error {
	if err == nil {
		return nil
	}
	// Only a bare status: of a wrapped one, status.FromError would send the whole chain.
	if bare, ok := err.(interface{ GRPCStatus() *status.Status }); ok { //nolint:errorlint // see above
		return spoken(bare.GRPCStatus())
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the call took too long; try again")
	case clusterAway(err):
		log.Info("the cluster does not answer", "method", method, "error", err.Error())
		return spoken(status.New(codes.Unavailable, "the gateway cannot reach its cluster now; try again later"))
	case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err):
		// For a moment after the API server's start, or until somebody mends our rights.
		log.Error(err, "the cluster refuses the gateway; are config/rbac and config/policy applied?", "method", method)
		return spoken(status.New(codes.Unavailable, "the gateway cannot reach its cluster now; try again later"))
	default:
		log.Error(err, "call failed", "method", method)
		return spoken(status.New(codes.Internal, "internal error of the gateway; its log says more"))
	}
}

// spoken marks what the gateway says in codes that a broken connection also ends with: an agent
// that looks for a network which breaks streams must not count it.
func spoken(said *status.Status) error {
	if said.Code() == codes.Unavailable || said.Code() == codes.Internal {
		if marked, err := said.WithDetails(&errdetails.ErrorInfo{Reason: "SaidByGateway", Domain: v1alpha1.GroupVersion.Group}); err == nil {
			return marked.Err()
		}
	}
	return said.Err()
}

// clusterAway tells errors of the Kubernetes API that pass by themselves.
func clusterAway(err error) bool {
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) || apierrors.IsInternalError(err) ||
		utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) ||
		utilnet.IsTimeout(err) || utilnet.IsHTTP2ConnectionLost(err)
}
