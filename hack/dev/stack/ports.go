package stack

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are drawn from below 32768, where Linux starts to take the local ports of outgoing
// connections, and from below the ports of the control plane. So a port that is free now is still
// free when a process listens on it a moment later.
const (
	firstPort = 10000
	lastPort  = 19999
	portTries = 1000
)

// FreeAddresses returns n different addresses on loopback, HOST:PORT, on which no process listens.
func FreeAddresses(n int) ([]string, error) {
	var addresses []string
	for range portTries {
		if len(addresses) == n {
			return addresses, nil
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1)))
		if err != nil {
			continue // taken
		}
		defer l.Close() // held until the last is found, so that all differ
		addresses = append(addresses, l.Addr().String())
	}
	return nil, fmt.Errorf("found %d of %d free ports in %d tries", len(addresses), n, portTries)
}
