// Package link transports the messages of a session between a gateway and a machine, over a stream
// or over polls.
package link

import gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"

// Conn transports the messages of one session. A gRPC stream is a Conn.
type Conn interface {
	// Send sends a message to the machine. It may block.
	Send(*gatewayv1.StreamNodeEventsResponse) error
	// Recv returns the next message of the machine, or an error after the last.
	Recv() (*gatewayv1.StreamNodeEventsRequest, error)
}
