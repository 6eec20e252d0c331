// Package stack_test runs the whole system as processes: real control plane, controller and
// gateway under their own rights, agents. It breaks things, so it has a cluster of its own.
package stack_test

import (
	"flag"
	"os"
	"testing"

	"github.com/mooring-dev/mooring/test/stack"
	"github.com/mooring-dev/mooring/test/stack/testfleet"
)

// system is shared by the tests of this package. Those that break it run one after the other, before
// those that only use it.
var system *stack.Stack

// sideBySide is how many tests run at a time of those that break nothing: they mostly wait.
const sideBySide = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", sideBySide); err != nil {
		panic(err)
	}
	os.Exit(testfleet.Main(m, &system, stack.Options{
		Gateways: 1, Fsync: true, AgentBinary: "testagent",
		// Short enough that a test sees a machine go Stale and a dead gateway being noticed.
		ControllerArgs: []string{"--stale-after=5s", "--orphan-grace=2s"},
		GatewayArgs:    []string{"--lease-duration=5s"},
	}))
}
