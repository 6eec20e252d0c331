// Package stack_test runs the whole system as processes: a real control plane, agents, and
// controller and gateway with their own rights. It has its own cluster because its tests break
// components.
package stack_test

import (
	"flag"
	"os"
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// system is shared by the tests of this package. Tests that break it run one after the other,
// before the tests that only use it.
var system *stack.Stack

// parallelTests is the number of parallel tests among those that break nothing; they mostly wait.
const parallelTests = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", parallelTests); err != nil {
		panic(err)
	}
	os.Exit(testfleet.Main(m, &system, stack.Options{
		Gateways: 1, Fsync: true, AgentBinary: "testagent",
		// The durations are short, so that a test can see a machine become Stale and a dead gateway
		// noticed.
		ControllerArgs: []string{"--stale-after=5s", "--orphan-grace=2s"},
		GatewayArgs:    []string{"--lease-duration=5s"},
	}))
}
