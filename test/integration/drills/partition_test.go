package drills_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/wire"
)

// staleAfter is the maximum age of the watch of the gateway under test. Sessions close at five times
// that age.
const staleAfter = 6 * time.Second

// remote is a gateway that reaches its cluster over the wire uplink. Machines reach it through front.
type remote struct {
	*stack.Process
	name, node    string
	readyz        string
	uplink, front *wire.Proxy
	otherGateway  string // the node listener of the gateway that reaches its cluster
}

func startRemote(t *testing.T, name string) *remote {
	t.Helper()
	r := &remote{name: name, node: freeAddress(t), otherGateway: system.NodeEndpoint,
		uplink: newWire(t, strings.TrimPrefix(system.Cluster.AdminConfig().Host, "https://"))}
	r.front = newWire(t, r.node)
	kubeconfig := filepath.Join(t.TempDir(), "remote.kubeconfig")
	if err := system.GatewayKubeconfig(kubeconfig, r.uplink.Address()); err != nil {
		t.Fatal(err)
	}
	probes := freeAddress(t)
	r.readyz = "http://" + probes + "/readyz"
	usual := system.GatewayArgs
	// The Lease is long, so that the watch decides.
	system.GatewayArgs = []string{"--kubeconfig", kubeconfig, "--health-probe-bind-address", probes,
		"--lease-duration=10m", "--watch-stale-after=" + staleAfter.String()}
	defer func() { system.GatewayArgs = usual }()
	process, err := system.StartExtraGateway(name, "127.0.0.1:0", r.node)
	if err != nil {
		t.Fatal(err)
	}
	r.Process = process
	t.Cleanup(process.Stop)
	return r
}

func (r *remote) ready(f *fleet) bool { return statusOf(f.Context(), r.readyz) == http.StatusOK }

// hasSessionOf reports whether the Node's recorded session is live and on this gateway.
func (r *remote) hasSessionOf(node *v1alpha1.Node) bool {
	return strings.HasPrefix(node.Status.Gateway, r.name+"-") && node.Status.Presence == v1alpha1.PresenceOnline
}

// TestAGatewayCutOffFromItsCluster holds the connection between a gateway and its cluster. The gateway
// must detect that, and accept no session and offer no dispatch meanwhile. When the connection is
// back, it must close the session of a revoked machine at once. It must not touch a machine that has
// moved to another gateway.
func TestAGatewayCutOffFromItsCluster(t *testing.T) {
	r := startRemote(t, "remote")
	f := newFleet(t, r.front.Address(), 3)
	f.AwaitAllOnline()
	revoked, moved, stays := f.Sim.Agents()[0], f.Sim.Agents()[1], f.Sim.Agents()[2]
	for _, a := range f.Sim.Agents() {
		f.Eventually(a.Name+" is recorded on the remote gateway", func() bool { return r.hasSessionOf(f.GetNode(a.Name)) })
		f.expectWorks(a.Name)
	}

	r.uplink.Hold()
	f.Eventually("the gateway to notice that its watch is stale", func() bool { return statusOf(f.Context(), r.readyz) != http.StatusOK })
	f.SetDesiredState(revoked.Name, v1alpha1.NodeRevoked)
	unseen := f.createDispatch(stays.Name)
	moved.Cut()
	f.Eventually("a new session to be refused", func() bool {
		_, reason := moved.Ended()
		return !moved.Online() && strings.Contains(reason, "code = Unavailable") && strings.Contains(reason, "may not open sessions now: the watch of Nodes has shown nothing")
	})
	if !revoked.Online() || !stays.Online() {
		t.Error("sessions were closed before five times the limit")
	}
	if n := f.runCount(unseen); n != 0 {
		t.Errorf("a dispatch was offered behind a stale watch, and ran %d times", n)
	}

	r.front.Redirect(r.otherGateway) // to the other gateway
	f.Eventually("the refused machine to have a session with the other gateway", func() bool {
		return moved.Online() && strings.HasPrefix(f.GetNode(moved.Name).Status.Gateway, "gateway-0-")
	})
	newer := f.GetNode(moved.Name).Status
	f.expectWorks(moved.Name)
	healed := time.Now()
	r.uplink.Heal()
	f.Eventually("the revoked machine to be cut", func() bool { return !revoked.Online() })
	at, reason := revoked.Ended()
	t.Logf("healed to cut: %s", at.Sub(healed).Round(time.Millisecond))
	if !strings.Contains(reason, "PermissionDenied") || !strings.Contains(reason, "revoked") {
		t.Errorf("it was cut with %q, want PermissionDenied, revoked", reason)
	}
	f.Eventually("the gateway to be ready again", func() bool { return r.ready(f) })
	if d := f.AwaitEnded(unseen); d.Status.Phase != v1alpha1.DispatchSucceeded || f.runCount(d) != 1 {
		t.Errorf("the waiting dispatch ran %d times and ended %+v", f.runCount(unseen), d.Status)
	}
	f.expectWorks(moved.Name)
	f.expectSameSession(moved.Name, newer)
}

// TestAGatewayCutOffForLongLetsItsMachinesGo cuts a gateway off for longer. It must close the sessions
// of its machines, and the other gateway must serve them.
func TestAGatewayCutOffForLongLetsItsMachinesGo(t *testing.T) {
	r := startRemote(t, "severed")
	f := newFleet(t, r.front.Address(), 2)
	f.AwaitAllOnline()
	for _, a := range f.Sim.Agents() {
		f.Eventually(a.Name+" is recorded on the remote gateway", func() bool { return r.hasSessionOf(f.GetNode(a.Name)) })
	}
	cut := time.Now()
	r.uplink.Drop()
	r.front.Redirect(r.otherGateway)
	for _, a := range f.Sim.Agents() {
		f.Eventually(a.Name+" to be sent away", func() bool { at, _ := a.Ended(); return !at.IsZero() })
		at, reason := a.Ended()
		if !strings.Contains(reason, "Unavailable") || !strings.Contains(reason, "cannot reach its cluster") {
			t.Errorf("%s was sent away with %q", a.Name, reason)
		}
		if elapsed := at.Sub(cut); elapsed < 4*staleAfter {
			t.Errorf("%s was sent away after %s, want about five times %s", a.Name, elapsed, staleAfter)
		}
	}
	f.AwaitAllOnline()
	var before []v1alpha1.NodeStatus
	for _, a := range f.Sim.Agents() {
		f.Eventually(a.Name+" to be served by the other gateway", func() bool { return strings.HasPrefix(f.GetNode(a.Name).Status.Gateway, "gateway-0-") })
		f.expectWorks(a.Name)
		before = append(before, f.GetNode(a.Name).Status)
	}
	r.uplink.Heal()
	f.Eventually("the gateway to be ready again", func() bool { return r.ready(f) })
	for i, a := range f.Sim.Agents() {
		f.expectWorks(a.Name)
		f.expectSameSession(a.Name, before[i])
	}
}

// expectSameSession fails unless the Node still records the session in before, as live.
func (f *fleet) expectSameSession(name string, before v1alpha1.NodeStatus) {
	f.Helper()
	node := f.GetNode(name)
	if after := node.Status; after.SessionID != before.SessionID || after.DialCounter != before.DialCounter || after.Gateway != before.Gateway || !dispatch.SessionOf(node).Live() {
		f.Errorf("%s: session %s (dial %d, %s, ended %v) replaced %s (dial %d, %s)", name,
			after.SessionID, after.DialCounter, after.Gateway, after.SessionEndedTime, before.SessionID, before.DialCounter, before.Gateway)
	}
}
