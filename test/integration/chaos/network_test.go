package chaos_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/test/wire"
)

// network holds wires that can be cut. Every gateway reaches the API server over an uplink, and
// machines reach the gateway over a door. front is the address that machines dial; it forwards to
// either door.
type network struct {
	uplinks, doors []*wire.Wire
	front          *wire.Wire
}

// newNetwork restarts the gateways behind wires, until the test ends.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{}
	lay := func(targets ...string) *wire.Wire {
		w, err := wire.New(targets...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Close)
		return w
	}
	var doors []string
	for i, g := range system.Gateways {
		uplink, door := lay(strings.TrimPrefix(system.Cluster.Admin().Host, "https://")), lay(g.NodeAddress)
		n.uplinks, n.doors, doors = append(n.uplinks, uplink), append(n.doors, door), append(doors, door.Address())
		kubeconfig := filepath.Join(system.Dir, g.Name+".kubeconfig")
		if err := system.GatewayKubeconfig(kubeconfig, uplink.Address()); err != nil {
			t.Fatal(err)
		}
		g.Args = []string{"--kubeconfig", kubeconfig}
		g.Stop()
		if err := errors.Join(system.StartGateway(i), g.WaitReady(t.Context())); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.unwire(t, i) })
	}
	n.front = lay(doors...)
	return n
}

// unwire restarts a gateway without wires.
func (n *network) unwire(t *testing.T, i int) {
	g := system.Gateways[i]
	g.Args = nil
	g.Stop()
	if err := system.StartGateway(i); err != nil {
		t.Error(err)
	}
}
