package link

import (
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Answered reports whether a gateway itself made a status, not a broken connection: a gateway that
// answers is not called unreachable. Codes that no connection makes by itself count, and the mark of
// a gateway (ErrorInfo) for the others.
func Answered(err error) bool {
	switch status.Code(err) {
	case codes.ResourceExhausted, codes.NotFound, codes.FailedPrecondition, codes.InvalidArgument, codes.AlreadyExists, codes.OutOfRange, codes.Unimplemented:
		return true
	}
	return slices.ContainsFunc(status.Convert(err).Details(), func(detail any) bool {
		_, ok := detail.(*errdetails.ErrorInfo)
		return ok
	})
}
