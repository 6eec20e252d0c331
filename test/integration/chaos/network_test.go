package chaos_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/test/wire"
)

// network has wires that can be cut: every gateway reaches the API server over an uplink and is
// reached over a door; front is what machines dial, and leads to either.
type network struct {
	uplinks, doors []*wire.Wire
	front          *wire.Wire
}

// newNetwork starts the gateways again behind wires, until the test ends.
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

// unwire starts a gateway again as it was.
func (n *network) unwire(t *testing.T, i int) {
	g := system.Gateways[i]
	g.Args = nil
	g.Stop()
	if err := system.StartGateway(i); err != nil {
		t.Error(err)
	}
}
