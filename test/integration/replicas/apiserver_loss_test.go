package replicas_test

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/stack"
)

// A gateway keeps its machines but silently loses its connection to the API server. It closes the
// sessions of its machines, and the other gateway settles the results of their dispatches.
func TestAGatewayThatLostTheAPIServerAlone(t *testing.T) {
	t.Parallel()
	cable := newLink(t)
	uplink := cable.secondAddresses()
	free, err := stack.FreeAddresses(2)
	if err != nil {
		t.Fatal(err)
	}
	_, pairing, _ := net.SplitHostPort(free[0])
	_, node, _ := net.SplitHostPort(free[1])
	island := net.JoinHostPort(cable.namespaceAddress, node)
	gateway, err := system.StartExtraGatewayIn(cable.name, "island", net.JoinHostPort(cable.namespaceAddress, pairing), island,
		"--kubeconfig", kubeconfigVia(t, uplink), "--watch-stale-after=6s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Stop)
	mainland := startTwoGateways(t, "mainland", "127.0.0.1")
	f := newFleet(t, island+","+mainland[0].node, 2, nil)
	a := f.Sim.Agents()[0]
	f.Eventually("the machine to be on the island", func() bool {
		if onIt := f.onGateway("island"); len(onIt) > 0 {
			a = onIt[0]
			return true
		}
		a.Cut()
		f.AwaitAllOnline()
		return false
	})
	asked := []*v1alpha1.CapabilityDispatch{f.createDispatch(a.Name, time.Second)}
	f.Eventually("it to run", func() bool { return f.Runs.RunsOf(asked[0].Name) == 1 })
	began := time.Now()
	uplink.dropToNamespace()
	uplink.dropFromNamespace()
	asked = append(asked, f.createDispatch(a.Name, 0), f.createDispatch(a.Name, 0))
	f.Eventually("the machine to be on another gateway", func() bool {
		return strings.HasPrefix(f.nodesByName()[a.Name].Status.Gateway, "mainland-0-")
	})
	t.Logf("the gateway closed the session of its machine, and another gateway recorded one, after %s", time.Since(began).Round(time.Second/10))
	f.checkRanOnce(asked)
	uplink.heal()
	mainland[0].Kill()
	f.Eventually("the machine to be back on the island", func() bool { return len(f.onGateway("island")) == len(f.Sim.Agents()) })
	f.checkRanOnce([]*v1alpha1.CapabilityDispatch{f.createDispatch(a.Name, 0)})
}

// kubeconfigVia writes a kubeconfig with which a gateway reaches the API server over a cable.
func kubeconfigVia(t *testing.T, cable *link) string {
	t.Helper()
	access := system.Cluster.UserConfig("")
	host := strings.TrimPrefix(access.Host, "https://")
	access.Host = "https://" + newBreakingProxyAt(t, cable.testAddress, host).address
	access.TLSClientConfig.ServerName, _, _ = net.SplitHostPort(host) // the name in its certificate
	access.TLSClientConfig.CertData, access.TLSClientConfig.KeyData = nil, nil
	access.TLSClientConfig.CertFile, access.TLSClientConfig.KeyFile = "", ""
	access.BearerTokenFile = filepath.Join(system.Dir, "mooring-gateway.token")
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := controlplane.WriteKubeconfig(path, access); err != nil {
		t.Fatal(err)
	}
	return path
}
