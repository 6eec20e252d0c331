// Package uninstall_test removes Mooring from a cluster, in the documented order and in the wrong
// one. It has its own cluster because it deletes the CRDs.
package uninstall_test

import (
	"os"
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// system is shared by the tests of this package, which run one after the other.
var system *stack.Stack

func TestMain(m *testing.M) {
	os.Exit(testfleet.Main(m, &system, stack.Options{Gateways: 1}))
}
