package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// readsPerStall is the inverse probability of a stall: a connection stalls at one of that many reads.
const readsPerStall = 20

// Faults configures the faults of agents and their network. The zero value has none.
type Faults struct {
	// Stall is the time for which a connection now and then reads nothing from the gateway.
	Stall time.Duration
	// Slow is the delay before every read of a connection.
	Slow time.Duration
	// Drop is the share of results that are not sent; the agent repeats them after a minute or in
	// its next session. Duplicate is the share of results that are sent twice.
	Drop, Duplicate float64
}

// ParseFaults parses "stall=3s,slow=20ms,drop=0.2,duplicate=0.5"; each part may be missing.
func ParseFaults(text string) (f Faults, err error) {
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "stall":
			f.Stall, err = time.ParseDuration(value)
		case "slow":
			f.Slow, err = time.ParseDuration(value)
		case "drop":
			f.Drop, err = parseShare(value)
		case "duplicate":
			f.Duplicate, err = parseShare(value)
		default:
			err = fmt.Errorf("%q is none of stall, slow, drop, duplicate", name)
		}
		if err != nil {
			return f, fmt.Errorf("fault %q: %w", part, err)
		}
	}
	return f, nil
}

func parseShare(text string) (float64, error) {
	value, err := strconv.ParseFloat(text, 64)
	if err == nil && (value < 0 || value > 1) {
		err = fmt.Errorf("%s is no share: give 0 to 1", text)
	}
	return value, err
}

// String returns the faults in the syntax of ParseFaults.
func (f Faults) String() string {
	return fmt.Sprintf("stall=%s,slow=%s,drop=%g,duplicate=%g", f.Stall, f.Slow, f.Drop, f.Duplicate)
}

// faultCounters counts the faults that happened.
type faultCounters struct{ stalled, dropped, duplicated atomic.Int64 }

// withNetworkFaults returns a connection with the configured faults of the network.
func (f *Fleet) withNetworkFaults(conn net.Conn) net.Conn {
	if f.Faults.Stall == 0 && f.Faults.Slow == 0 {
		return conn
	}
	return &faultyConn{Conn: conn, fleet: f}
}

type faultyConn struct {
	net.Conn
	fleet *Fleet
}

// Read delays or stalls, then reads.
func (c *faultyConn) Read(b []byte) (int, error) {
	faults := c.fleet.Faults
	time.Sleep(faults.Slow)
	if faults.Stall > 0 && rand.N(readsPerStall) == 0 {
		c.fleet.faultCounters.stalled.Add(1)
		time.Sleep(faults.Stall)
	}
	return c.Conn.Read(b)
}

// withStreamFaults returns a stream with the configured faults of the agent.
func (f *Fleet) withStreamFaults(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := streamer(ctx, desc, cc, method, opts...)
	if err != nil || (f.Faults.Drop == 0 && f.Faults.Duplicate == 0) {
		return stream, err
	}
	return &faultyStream{ClientStream: stream, fleet: f}, nil
}

type faultyStream struct {
	grpc.ClientStream
	fleet *Fleet
}

// SendMsg sends a result never, once or twice, and every other message once.
func (s *faultyStream) SendMsg(message any) error {
	if sent, ok := message.(*gatewayv1.StreamNodeEventsRequest); ok && sent.GetResult() != nil {
		if rand.Float64() < s.fleet.Faults.Drop {
			s.fleet.faultCounters.dropped.Add(1)
			return nil
		}
		if rand.Float64() < s.fleet.Faults.Duplicate {
			s.fleet.faultCounters.duplicated.Add(1)
			if err := s.ClientStream.SendMsg(message); err != nil {
				return err
			}
		}
	}
	return s.ClientStream.SendMsg(message)
}
