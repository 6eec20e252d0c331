package chaos_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/test/wire"
)

// network holds wires that can be cut. Every gateway reaches the API server over an uplink, and
// machines reach the gateway over a downlink. entry has the address that machines dial; it forwards
// to any of the downlinks.
type network struct {
	uplinks, downlinks []*wire.Proxy
	entry              *wire.Proxy
}

// newNetwork restarts the gateways behind wires, until the test ends.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{}
	newProxy := func(targets ...string) *wire.Proxy {
		w, err := wire.New(targets...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Close)
		return w
	}
	var downlinkAddresses []string
	for i, g := range system.Gateways {
		uplink, downlink := newProxy(strings.TrimPrefix(system.Cluster.AdminConfig().Host, "https://")), newProxy(g.NodeAddress)
		n.uplinks, n.downlinks, downlinkAddresses = append(n.uplinks, uplink), append(n.downlinks, downlink), append(downlinkAddresses, downlink.Address())
		kubeconfig := filepath.Join(system.Dir, g.Name+".kubeconfig")
		if err := system.GatewayKubeconfig(kubeconfig, uplink.Address()); err != nil {
			t.Fatal(err)
		}
		g.Args = []string{"--kubeconfig", kubeconfig}
		g.Stop()
		if err := errors.Join(system.StartGateway(i), g.WaitReady(t.Context())); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.restartGatewayDirectly(t, i) })
	}
	n.entry = newProxy(downlinkAddresses...)
	return n
}

// restartGatewayDirectly restarts a gateway without wires.
func (n *network) restartGatewayDirectly(t *testing.T, i int) {
	g := system.Gateways[i]
	g.Args = nil
	g.Stop()
	if err := system.StartGateway(i); err != nil {
		t.Error(err)
	}
}
