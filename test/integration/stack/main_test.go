// Package stack_test runs the whole system as processes: real control plane, controller and
// gateway under their own rights, agents. It breaks things, so it has a cluster of its own.
package stack_test

import (
	"os"
	"testing"

	"github.com/mooring-dev/mooring/test/stack"
	"github.com/mooring-dev/mooring/test/stack/testfleet"
)

// system is shared by the tests of this package, which run one after the other.
var system *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(testfleet.Main(m, &system, stack.Options{
		Gateways: 1, Fsync: true, AgentBinary: "testagent",
		// Short enough that a test sees a machine go Stale and a dead gateway being noticed.
		ControllerArgs: []string{"--stale-after=5s", "--orphan-grace=2s"},
		GatewayArgs:    []string{"--lease-duration=5s"},
	}))
}
