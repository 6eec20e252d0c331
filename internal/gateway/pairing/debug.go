package pairing

import (
	"google.golang.org/grpc/status"

	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// debug writes a debug line. pairs are keys and values. They must contain no code, no share and no
// confirmation.
func (s *Service) debug(message string, pairs ...any) {
	s.options.Log.V(1).Info(message, pairs...)
}

// debugRefusal writes a debug line about a call that ends with an error. An error without a status
// is internal, and the interceptors log it.
func (s *Service) debugRefusal(message string, connection peer.Connection, err error) {
	if refused, ok := status.FromError(err); ok && err != nil {
		s.debug(message, "address", connection.Address, "grpcCode", refused.Code().String(), "reason", refused.Message())
	}
}
