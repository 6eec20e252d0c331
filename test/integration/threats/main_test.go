// Package threats_test runs the attacks of the threat table against the whole system: a real
// control plane, real agents, and controller and gateway with their own rights. It has its own
// cluster because it changes policies and stops etcd.
package threats_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

var (
	// system is shared by the tests of this package, which run one after the other.
	system *stack.Stack
	// metrics holds the addresses of the metrics pages of the controller and the gateway, by name.
	metrics = map[string]string{}
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	free, err := stack.FreeAddresses(2)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	metrics["controller"], metrics["gateway"] = free[0], free[1]
	return testfleet.Main(m, &system, stack.Options{
		Gateways:       1,
		ControllerArgs: []string{"--metrics-bind-address", metrics["controller"]},
		GatewayArgs:    []string{"--metrics-bind-address", metrics["gateway"], "--lease-duration=5s"},
	})
}
