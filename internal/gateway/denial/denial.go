// Package denial makes the statuses with which the gateway denies calls and ends sessions. Each one
// has a code, a message and a reason from package gatewayv1.
package denial

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// New returns a denial with a code, a reason and a message.
func New(code codes.Code, reason, message string) error {
	return WithReason(status.New(code, message), reason, nil).Err()
}

// Newf returns a denial with a formatted message.
func Newf(code codes.Code, reason, format string, args ...any) error {
	return New(code, reason, fmt.Sprintf(format, args...))
}

// RateLimited returns a denial with the delay before the next attempt.
func RateLimited(wait time.Duration, message string) error {
	return WithRetry(WithReason(status.New(codes.ResourceExhausted, message), gatewayv1.ReasonRateLimited, nil), wait).Err()
}

// WithRetry returns denied with the delay before the next attempt.
func WithRetry(denied *status.Status, wait time.Duration) *status.Status {
	detailed, err := denied.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	if err != nil {
		return denied
	}
	return detailed
}

// WithReason returns denied with the reason and its metadata. They replace an earlier reason, because
// a status holds at most one ErrorInfo.
func WithReason(denied *status.Status, reason string, metadata map[string]string) *status.Status {
	stripped := denied.Proto()
	stripped.Details = slices.DeleteFunc(stripped.Details, isErrorInfo)
	detailed, err := status.FromProto(stripped).WithDetails(&errdetails.ErrorInfo{
		Reason: reason, Domain: gatewayv1.ErrorDomain, Metadata: metadata,
	})
	if err != nil {
		return denied
	}
	return detailed
}

// HasReason reports whether denied has a reason.
func HasReason(denied *status.Status) bool {
	return slices.ContainsFunc(denied.Proto().GetDetails(), isErrorInfo)
}

func isErrorInfo(detail *anypb.Any) bool { return detail.MessageIs((*errdetails.ErrorInfo)(nil)) }
