package replicas_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/stack"
)

// A gateway keeps its machines but silently loses its connection to the API server. It closes the
// sessions of its machines, and the other gateway settles the results of their dispatches.
func TestAGatewayThatLostTheAPIServerAlone(t *testing.T) {
	t.Parallel()
	cable := newLink(t)
	uplink := cable.beside()
	free, err := stack.FreeAddresses(2)
	if err != nil {
		t.Fatal(err)
	}
	_, pairing, _ := net.SplitHostPort(free[0])
	_, node, _ := net.SplitHostPort(free[1])
	island := net.JoinHostPort(cable.there, node)
	gateway, err := system.SpareGatewayIn(cable.name, "island", net.JoinHostPort(cable.there, pairing), island,
		"--kubeconfig", kubeconfigOver(t, uplink), "--watch-stale-after=6s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Stop)
	mainland := twoOfItsOwn(t, "mainland", "127.0.0.1")
	f := newFleet(t, island+","+mainland[0].node, 2, nil)
	a := f.Sim.Agents()[0]
	f.Eventually("the machine to be on the island", func() bool {
		if onIt := f.on("island"); len(onIt) > 0 {
			a = onIt[0]
			return true
		}
		a.Cut()
		f.AllOnline()
		return false
	})
	asked := []*v1alpha1.CapabilityDispatch{f.ask(a.Name, time.Second)}
	f.Eventually("it to run", func() bool { return f.Runs.Of(asked[0].Name) == 1 })
	began := time.Now()
	uplink.deafen()
	uplink.mute()
	asked = append(asked, f.ask(a.Name, 0), f.ask(a.Name, 0))
	f.Eventually("the machine to be on another gateway", func() bool {
		return strings.HasPrefix(f.nodes()[a.Name].Status.Gateway, "mainland-0-")
	})
	t.Logf("the gateway closed the session of its machine, and another gateway recorded one, after %s", time.Since(began).Round(time.Second/10))
	f.ranOnce(asked)
	uplink.heal()
	mainland[0].Kill()
	f.Eventually("the machine to be back on the island", func() bool { return len(f.on("island")) == len(f.Sim.Agents()) })
	f.ranOnce([]*v1alpha1.CapabilityDispatch{f.ask(a.Name, 0)})
}

// kubeconfigOver writes a kubeconfig with which a gateway reaches the API server over a cable.
func kubeconfigOver(t *testing.T, cable *link) string {
	t.Helper()
	access := system.Cluster.As("")
	host := strings.TrimPrefix(access.Host, "https://")
	access.Host = "https://" + newNetworkAt(t, cable.here, host).address
	access.TLSClientConfig.ServerName, _, _ = net.SplitHostPort(host) // the name in its certificate
	access.TLSClientConfig.CertData, access.TLSClientConfig.KeyData = nil, nil
	access.TLSClientConfig.CertFile, access.TLSClientConfig.KeyFile = "", ""
	access.BearerTokenFile = filepath.Join(system.Dir, "mooring-gateway.token")
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := cluster.WriteKubeconfig(path, access); err != nil {
		t.Fatal(err)
	}
	return path
}
