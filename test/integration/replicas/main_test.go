// Package replicas_test runs several gateways at once and removes them in different ways: killed,
// drained, restarted one after the other, cut off by the network. It has its own cluster.
package replicas_test

import (
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/stack"
	"github.com/mooring-dev/mooring/test/stack/simfleet"
	"github.com/mooring-dev/mooring/test/stack/testfleet"
)

var (
	// system is shared by the tests of this package.
	system *stack.Stack
	// orphanGrace is the time that machines have to reconnect after the end of their gateway.
	orphanGrace time.Duration
)

func TestMain(m *testing.M) {
	flag.Parse()
	// In full size it takes some time until all sessions are recorded again, at 50 writes a second.
	orphanGrace = time.Duration(simfleet.Sized(3, 30)) * time.Second
	// The tests mostly wait, some of them for one another.
	_ = flag.Set("test.parallel", "16") // the flag exists
	os.Exit(testfleet.Main(m, &system, stack.Options{
		Gateways: 2, AgentBinary: "testagent",
		ControllerArgs: []string{"--stale-after=5s", "--orphan-grace=" + orphanGrace.String()},
		GatewayArgs:    []string{"--lease-duration=5s"},
	}))
}

// gateways is locked by a test that stops or starts the two gateways of the system. Tests with
// their own gateways run at the same time.
var gateways sync.Mutex

// alone reserves the gateways of the system for the test until it ends, with both ready.
func alone(t *testing.T) {
	t.Helper()
	gateways.Lock()
	t.Cleanup(gateways.Unlock)
	for i := range system.Gateways {
		bringUp(t, i)
	}
}

// replica is a gateway of one test.
type replica struct {
	*stack.Process
	name, pairing, node, told string
}

// twoOfItsOwn starts two gateways that no other test uses, on addresses of host.
func twoOfItsOwn(t *testing.T, name, host string) []*replica {
	t.Helper()
	free, err := stack.FreeAddresses(4)
	if err != nil {
		t.Fatal(err)
	}
	for i, address := range free {
		_, port, _ := net.SplitHostPort(address) // HOST:PORT, as documented
		free[i] = net.JoinHostPort(host, port)
	}
	var replicas []*replica
	for i := range 2 {
		r := &replica{name: fmt.Sprintf("%s-%d", name, i), pairing: free[i], node: free[2+i], told: free[2] + "," + free[3]}
		r.again(t)
		replicas = append(replicas, r)
	}
	return replicas
}

// again starts the replica on its addresses and waits until it is ready.
func (r *replica) again(t *testing.T) {
	t.Helper()
	process, err := system.SpareGateway(r.name, r.pairing, r.node, "--advertise-node-endpoint", r.told)
	if err != nil {
		t.Fatal(err)
	}
	r.Process = process
	t.Cleanup(process.Stop)
	if err := r.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// bringUp starts a gateway again, if it does not run, and waits until it is ready.
func bringUp(t *testing.T, i int) {
	t.Helper()
	if !system.Gateways[i].Running() {
		if err := system.StartGateway(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := system.Gateways[i].WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}
