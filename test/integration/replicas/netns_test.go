package replicas_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// link is a network namespace with one cable to the namespace of the test. The end of the test
// removes both.
type link struct {
	t                             *testing.T
	name                          string // of the namespace
	testEnd, namespaceEnd         string // the ends of the cable: ours, and in the namespace
	testAddress, namespaceAddress string // their addresses
}

// unusedMAC is a hardware address that no end of the cable has. Packets to it disappear without an
// error, as behind a broken switch.
const unusedMAC = "02:00:00:00:00:fe"

// newLink creates a cable. It skips the test, with a clear message, where that is impossible.
func newLink(t *testing.T) *link {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skipf("SKIPPED, NOT TESTED: network namespaces need root (uid %d) and iproute2 (%v)", os.Geteuid(), err)
	}
	id := rand.IntN(1 << 16)
	net := fmt.Sprintf("10.%d.%d", 200+id>>14, id>>6&0xff)
	l := &link{t: t, name: fmt.Sprintf("mooring-%04x", id), testEnd: fmt.Sprintf("moor%04xa", id), namespaceEnd: fmt.Sprintf("moor%04xb", id),
		testAddress: fmt.Sprintf("%s.%d", net, id&63<<2+1), namespaceAddress: fmt.Sprintf("%s.%d", net, id&63<<2+2)}
	if out, err := exec.Command("ip", "netns", "add", l.name).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no network namespace can be made: %v: %s", err, out)
	}
	t.Cleanup(func() { l.ip("netns del " + l.name) })
	l.ip("link add " + l.testEnd + " type veth peer name " + l.namespaceEnd)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", l.testEnd).Run() }) // usually deleted with the namespace
	l.ip("link set " + l.namespaceEnd + " netns " + l.name)
	l.ip("addr add " + l.testAddress + "/30 dev " + l.testEnd)
	l.ip("link set " + l.testEnd + " up")
	l.ip("-n " + l.name + " link set lo up")
	l.ip("-n " + l.name + " addr add " + l.namespaceAddress + "/30 dev " + l.namespaceEnd)
	l.ip("-n " + l.name + " link set " + l.namespaceEnd + " up")
	return l
}

// secondAddresses adds a second pair of addresses to the same cable, which can be cut separately.
func (l *link) secondAddresses() *link {
	second := *l
	second.testAddress, second.namespaceAddress = nextNetwork(l.testAddress), nextNetwork(l.namespaceAddress)
	second.ip("addr add " + second.testAddress + "/30 dev " + l.testEnd)
	second.ip("-n " + l.name + " addr add " + second.namespaceAddress + "/30 dev " + l.namespaceEnd)
	return &second
}

// nextNetwork returns the address sixteen /16 networks higher: 10.200.3.1 leads to 10.216.3.1.
func nextNetwork(address string) string {
	bytes := netip.MustParseAddr(address).As4()
	bytes[1] += 16
	return netip.AddrFrom4(bytes).String()
}

func (l *link) ip(arguments string) {
	l.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
		l.t.Errorf("ip %s: %v: %s", arguments, err, out)
	}
}

// dropToNamespace drops all packets from the test's end of the cable; `dropFromNamespace` drops all packets from the other
// end.
func (l *link) dropToNamespace() {
	l.ip("neigh replace " + l.namespaceAddress + " lladdr " + unusedMAC + " dev " + l.testEnd + " nud permanent")
}

func (l *link) dropFromNamespace() {
	l.ip("-n " + l.name + " neigh replace " + l.testAddress + " lladdr " + unusedMAC + " dev " + l.namespaceEnd + " nud permanent")
}

// heal ends the effects of `dropToNamespace` and `dropFromNamespace`.
func (l *link) heal() {
	_ = exec.Command("ip", "neigh", "del", l.namespaceAddress, "dev", l.testEnd).Run()
	_ = exec.Command("ip", "-n", l.name, "neigh", "del", l.testAddress, "dev", l.namespaceEnd).Run()
}
