package stack

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Addresses are drawn from below 32768, where Linux starts to take the local ports of outgoing
// connections, and from below those of the control plane: one that was free a moment ago is free
// when the process that is told about it listens.
const (
	firstPort = 10000
	lastPort  = 19999
	portTries = 1000
)

// FreeAddresses finds n different addresses on loopback, HOST:PORT, that nobody listens on.
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
		defer l.Close() // held until the last is found, so they differ
		addresses = append(addresses, l.Addr().String())
	}
	return nil, fmt.Errorf("found %d of %d free ports in %d tries", len(addresses), n, portTries)
}
