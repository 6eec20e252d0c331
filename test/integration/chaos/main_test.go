// Package chaos_test kills parts of a running system at random while many machines work. Package
// check then judges the fate of every requested dispatch. The package has its own cluster.
package chaos_test

import (
	"os"
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// gateways is the number of replicas.
const gateways = 2

// system is shared by the tests of this package, which run one after the other.
var system *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(testfleet.Main(m, &system, stack.Options{
		Gateways: gateways, Fsync: true,
		ControllerArgs: []string{"--stale-after=5s", "--orphan-grace=2s"},
		// A machine can disappear before the status shows its acceptance.
		GatewayArgs: []string{"--lease-duration=5s", "--dispatched-delay=1s"},
	}))
}
