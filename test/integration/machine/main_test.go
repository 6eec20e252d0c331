// Package machine_test runs real agents against a real control plane, controller and gateway. The
// agents run programs that misbehave, ask the person at the machine, and poll.
package machine_test

import (
	"os"
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// system is shared by the tests of this package, which run one after the other.
var system *stack.Stack

func TestMain(m *testing.M) { os.Exit(testfleet.Main(m, &system, stack.Options{Gateways: 1})) }
