package stack

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A process cannot listen on a local port that an outgoing connection uses. An address from the
// kernel's range may therefore be taken between its choice and its use.
func TestFreeAddressesAreNeverLocalPortsOfConnections(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Fatal(err)
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
		t.Fatal(err)
	}
	addresses, err := FreeAddresses(200)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, address := range addresses {
		_, digits, _ := strings.Cut(address, ":")
		if port, err := strconv.Atoi(digits); err != nil || (first <= port && port <= last) || seen[address] {
			t.Errorf("%s is taken twice or within %d-%d", address, first, last)
		}
		seen[address] = true
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	}
}
