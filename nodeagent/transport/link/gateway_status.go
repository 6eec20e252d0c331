package link

import (
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// IsGatewayStatus reports whether the status comes from a gateway and not from a broken connection.
// A gateway that answers is not unreachable. Some codes never come from the connection itself; the
// other codes count only with the ErrorInfo detail that a gateway adds.
func IsGatewayStatus(err error) bool {
	switch status.Code(err) {
	case codes.ResourceExhausted, codes.NotFound, codes.FailedPrecondition, codes.InvalidArgument, codes.AlreadyExists, codes.OutOfRange, codes.Unimplemented:
		return true
	}
	return slices.ContainsFunc(status.Convert(err).Details(), func(detail any) bool {
		_, ok := detail.(*errdetails.ErrorInfo)
		return ok
	})
}
