package state

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// Ports are drawn from below 32768, where Linux starts to take the local ports of outgoing
// connections. So a free port stays free while a cluster is down.
const (
	firstPort = 20000
	lastPort  = 32767
	portTries = 1000

	// closeTimeout is the time that the kernel may need to end a killed process on a busy machine.
	closeTimeout = 2 * time.Second
)

// AssignPorts replaces ports that are zero or taken by free ones. It returns the ports that
// changed, because kubeconfigs with the old port are invalid. draw returns a number in [0, n).
func AssignPorts(config *Config, draw func(n int) int) (moved []string, err error) {
	slots := []struct {
		name    string
		address string
		port    *int
	}{
		{"etcd", Loopback, &config.Ports.EtcdClient},
		{"etcd peer", Loopback, &config.Ports.EtcdPeer},
		{"kube-apiserver", config.Address, &config.Ports.APIServer},
		{"kube-controller-manager", Loopback, &config.Ports.ControllerManager},
		{"cert-manager", Loopback, &config.Ports.CertManager},
	}
	used := make(map[int]bool)
	for _, slot := range slots {
		if *slot.port != 0 && !used[*slot.port] && becomesFree(slot.address, *slot.port) {
			used[*slot.port] = true
			continue
		}
		before := *slot.port
		if *slot.port, err = drawPort(slot.address, used, draw); err != nil {
			return nil, fmt.Errorf("port for %s: %w", slot.name, err)
		}
		if before != 0 {
			moved = append(moved, fmt.Sprintf("%s from %d to %d", slot.name, before, *slot.port))
		}
	}
	return moved, nil
}

// RandomInt is the random source of AssignPorts outside tests.
func RandomInt(n int) int { return rand.IntN(n) }

func drawPort(address string, used map[int]bool, draw func(int) int) (int, error) {
	for range portTries {
		port := firstPort + draw(lastPort-firstPort+1)
		if !used[port] && isFree(address, port) {
			used[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("none of %d tried ports of %s is free: does the machine have that address?", portTries, address)
}

// becomesFree reports whether a port that a component had becomes free. A process that was just killed
// closes its sockets after it has disappeared from the process list, so `becomesFree` waits for a
// moment.
func becomesFree(address string, port int) bool {
	for deadline := time.Now().Add(closeTimeout); !isFree(address, port); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func isFree(address string, port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
