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

// link is a network namespace with one cable to the namespace of the test. Both are removed when
// the test ends.
type link struct {
	t           *testing.T
	name        string // of the namespace
	near, far   string // the ends of the cable: ours, and in the namespace
	here, there string // their addresses
}

// nobody is a hardware address that no end of the cable has: what is sent to it vanishes without
// a word, as behind a switch that lost its mind.
const nobody = "02:00:00:00:00:fe"

// newLink lays a cable; it skips the test, loudly, where that cannot be done.
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
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", l.near).Run() }) // gone with the namespace, mostly
	l.ip("link set " + l.far + " netns " + l.name)
	l.ip("addr add " + l.here + "/30 dev " + l.near)
	l.ip("link set " + l.near + " up")
	l.ip("-n " + l.name + " link set lo up")
	l.ip("-n " + l.name + " addr add " + l.there + "/30 dev " + l.far)
	l.ip("-n " + l.name + " link set " + l.far + " up")
	return l
}

// beside lays a second pair of addresses over the same cable, to be cut on its own.
func (l *link) beside() *link {
	second := *l
	second.here, second.there = next(l.here), next(l.there)
	second.ip("addr add " + second.here + "/30 dev " + l.near)
	second.ip("-n " + l.name + " addr add " + second.there + "/30 dev " + l.far)
	return &second
}

// next is the address in the network after the next: 10.200.3.1 leads to 10.216.3.1.
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

// deafen makes everything that is sent from here vanish; mute what is sent from there.
func (l *link) deafen() {
	l.ip("neigh replace " + l.there + " lladdr " + nobody + " dev " + l.near + " nud permanent")
}

func (l *link) mute() {
	l.ip("-n " + l.name + " neigh replace " + l.here + " lladdr " + nobody + " dev " + l.far + " nud permanent")
}

// heal ends both.
func (l *link) heal() {
	_ = exec.Command("ip", "neigh", "del", l.there, "dev", l.near).Run()
	_ = exec.Command("ip", "-n", l.name, "neigh", "del", l.here, "dev", l.far).Run()
}
