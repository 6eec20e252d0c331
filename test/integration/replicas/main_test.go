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

	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/simfleet"
	"github.com/mooring-dev/mooring/test/testfleet"
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
	orphanGrace = time.Duration(simfleet.CISized(3, 30)) * time.Second
	// The tests mostly wait, some of them for one another.
	_ = flag.Set("test.parallel", "16") // the flag exists
	os.Exit(testfleet.Main(m, &system, stack.Options{
		Gateways: 2, AgentBinary: "testagent",
		ControllerArgs: []string{"--stale-after=5s", "--orphan-grace=" + orphanGrace.String()},
		GatewayArgs:    []string{"--lease-duration=5s"},
	}))
}

// gatewaysMu is locked by a test that stops or starts the two gateways of the system. Tests with
// their own gateways run at the same time.
var gatewaysMu sync.Mutex

// lockGateways reserves the gateways of the system for the test until it ends, with both ready.
func lockGateways(t *testing.T) {
	t.Helper()
	gatewaysMu.Lock()
	t.Cleanup(gatewaysMu.Unlock)
	for i := range system.Gateways {
		startGateway(t, i)
	}
}

// replica is a gateway of one test.
type replica struct {
	*stack.Process
	name, pairing, node, advertised string
}

// startTwoGateways starts two gateways that no other test uses, on addresses of host.
func startTwoGateways(t *testing.T, name, host string) []*replica {
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
		r := &replica{name: fmt.Sprintf("%s-%d", name, i), pairing: free[i], node: free[2+i], advertised: free[2] + "," + free[3]}
		r.startReplica(t)
		replicas = append(replicas, r)
	}
	return replicas
}

// startReplica starts the replica on its addresses and waits until it is ready.
func (r *replica) startReplica(t *testing.T) {
	t.Helper()
	process, err := system.StartExtraGateway(r.name, r.pairing, r.node, "--advertise-node-endpoint", r.advertised)
	if err != nil {
		t.Fatal(err)
	}
	r.Process = process
	t.Cleanup(process.Stop)
	if err := r.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// startGateway starts a gateway again, if it does not run, and waits until it is ready.
func startGateway(t *testing.T, i int) {
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
