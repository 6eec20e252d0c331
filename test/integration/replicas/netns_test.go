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
	t           *testing.T
	name        string // of the namespace
	near, far   string // the ends of the cable: ours, and in the namespace
	here, there string // their addresses
}

// nobody is a hardware address that no end of the cable has. Packets to it disappear without an
// error, as behind a broken switch.
const nobody = "02:00:00:00:00:fe"

// newLink creates a cable. It skips the test, with a clear message, where that is impossible.
func newLink(t *testing.T) *link {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skipf("SKIPPED, NOT TESTED: network namespaces need root (uid %d) and iproute2 (%v)", os.Geteuid(), err)
	}
	id := rand.IntN(1 << 16)
	net := fmt.Sprintf("10.%d.%d", 200+id>>14, id>>6&0xff)
	l := &link{t: t, name: fmt.Sprintf("mooring-%04x", id), near: fmt.Sprintf("moor%04xa", id), far: fmt.Sprintf("moor%04xb", id),
		here: fmt.Sprintf("%s.%d", net, id&63<<2+1), there: fmt.Sprintf("%s.%d", net, id&63<<2+2)}
	if out, err := exec.Command("ip", "netns", "add", l.name).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no network namespace can be made: %v: %s", err, out)
	}
	t.Cleanup(func() { l.ip("netns del " + l.name) })
	l.ip("link add " + l.near + " type veth peer name " + l.far)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", l.near).Run() }) // usually deleted with the namespace
	l.ip("link set " + l.far + " netns " + l.name)
	l.ip("addr add " + l.here + "/30 dev " + l.near)
	l.ip("link set " + l.near + " up")
	l.ip("-n " + l.name + " link set lo up")
	l.ip("-n " + l.name + " addr add " + l.there + "/30 dev " + l.far)
	l.ip("-n " + l.name + " link set " + l.far + " up")
	return l
}

// beside adds a second pair of addresses to the same cable, which can be cut separately.
func (l *link) beside() *link {
	second := *l
	second.here, second.there = next(l.here), next(l.there)
	second.ip("addr add " + second.here + "/30 dev " + l.near)
	second.ip("-n " + l.name + " addr add " + second.there + "/30 dev " + l.far)
	return &second
}

// next returns the address sixteen /16 networks higher: 10.200.3.1 leads to 10.216.3.1.
func next(address string) string {
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

// deafen drops all packets from the test's end of the cable; `mute` drops all packets from the other
// end.
func (l *link) deafen() {
	l.ip("neigh replace " + l.there + " lladdr " + nobody + " dev " + l.near + " nud permanent")
}

func (l *link) mute() {
	l.ip("-n " + l.name + " neigh replace " + l.here + " lladdr " + nobody + " dev " + l.far + " nud permanent")
}

// heal ends the effects of `deafen` and `mute`.
func (l *link) heal() {
	_ = exec.Command("ip", "neigh", "del", l.there, "dev", l.near).Run()
	_ = exec.Command("ip", "-n", l.name, "neigh", "del", l.here, "dev", l.far).Run()
}
