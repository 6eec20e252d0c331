package threats_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// Connections without any message do not affect other clients, and the gateway closes them.
func TestHalfOpenConnectionsAreClosedAndOthersServed(t *testing.T) {
	f := newFleet(t)
	f.Pair("before")
	const each = 500
	attacker := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: testfleet.WaitTimeout}
	var open []net.Conn
	for _, address := range []string{system.PairingEndpoint, system.NodeEndpoint} {
		for range each {
			connection, err := attacker.DialContext(f.BoundedContext(), "tcp", address)
			if err != nil {
				continue // closed at once, above the cap of its address
			}
			t.Cleanup(func() { connection.Close() })
			open = append(open, connection)
		}
	}
	if len(open) < each {
		t.Fatalf("only %d of %d connections came to be", len(open), 2*each)
	}
	f.Pair("during")
	for _, node := range []string{"before", "during"} {
		if end := f.AwaitEnded(f.CreateDispatch(node, "echo", map[string]any{})).Status; end.Phase != v1alpha1.DispatchSucceeded {
			t.Errorf("a dispatch to %s ended %+v", node, end)
		}
	}
	deadline := time.Now().Add(testfleet.WaitTimeout)
	for i, connection := range open {
		_ = connection.SetReadDeadline(deadline)
		for answered := make([]byte, 1024); ; { // a listener may send bytes before it closes
			if _, err := connection.Read(answered); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("connection %d of %d is still open", i, len(open))
				}
				break
			}
		}
	}
}
