package replicas_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/test/simfleet"
)

// One of two gateways gets kill -9 while dispatches are queued and in flight on both. The
// dispatches and their machines continue with the other gateway, and no status reports a machine as
// absent.
func TestAKilledGateway(t *testing.T) {
	t.Parallel()
	lockGateways(t)
	f := newFleet(t, system.NodeEndpoints(), simfleet.CISized(12, 200), nil)
	f.spreadAgents(3)
	seen := recordEvents(t, f.Namespace)
	var asked []*v1alpha1.CapabilityDispatch
	for _, a := range f.Sim.Agents() {
		asked = append(asked, f.createDispatch(a.Name, time.Second), f.createDispatch(a.Name, 0))
	}
	f.Eventually("some to run", func() bool { return f.Runs.RunsOf(asked[0].Name) == 1 && f.Runs.RunsOf(asked[len(asked)-2].Name) == 1 })
	moving := f.onGateway("gateway-0")
	began := time.Now()
	system.Gateways[0].Kill()
	for _, a := range f.Sim.Agents() {
		asked = append(asked, f.createDispatch(a.Name, 0))
	}
	f.Eventually("all on the other gateway", func() bool { return len(f.onGateway("gateway-1")) == len(f.Sim.Agents()) })
	t.Logf("%d of %d agents lost their gateway; all were recorded on the other after %s", len(moving), len(f.Sim.Agents()), time.Since(began).Round(10*time.Millisecond))
	f.checkRanOnce(asked)
	// A report about a machine that is not back when the grace is over is true.
	if wronged := seen.falseAbsences("gateway-0", began.Add(orphanGrace)); len(wronged) != 0 {
		t.Errorf("machines that reconnected, or still had time to, were reported absent: %+v", wronged)
	}
}

func TestUntrueAbsencesAreFound(t *testing.T) {
	grace := time.Now()
	late := grace.Add(time.Second)
	r := &eventRecord{absent: []absence{
		{"too early", v1alpha1.PresenceOffline, grace.Add(-time.Second), "gateway-0-a"},
		{"true", v1alpha1.PresenceOffline, late, "gateway-0-a"},
		{"back", v1alpha1.PresenceOffline, late, "gateway-1-b"},
		{"unknown gateway", v1alpha1.PresenceOffline, late, ""},
	}}
	var found []string
	for _, a := range r.falseAbsences("gateway-0", grace) {
		found = append(found, a.node)
	}
	if got := strings.Join(found, ", "); got != "too early, back, unknown gateway" {
		t.Errorf("found %s", got)
	}
}

// When no gateway is left, no process renews the machines' presence, so the leader reports them as
// absent.
func TestNoGatewayLeft(t *testing.T) {
	t.Parallel()
	replicas := startTwoGateways(t, "last", "127.0.0.1")
	f := newFleet(t, replicas[0].node+","+replicas[1].node, simfleet.CISized(4, 50), nil)
	f.Eventually("all recorded", func() bool { return len(f.onGateway("last")) == len(f.Sim.Agents()) })
	began := time.Now()
	for _, r := range replicas {
		r.Kill()
	}
	waiting := f.createDispatch(f.Sim.Agents()[0].Name, 0)
	f.Eventually("the leader to report all as absent", func() bool {
		for _, node := range f.nodesByName() {
			connected := meta.FindStatusCondition(node.Status.Conditions, v1alpha1.ConditionConnected)
			if node.Status.Presence == v1alpha1.PresenceOnline || dispatch.SessionOf(&node).Live() ||
				connected == nil || connected.Reason != v1alpha1.ReasonGatewayLost || !strings.HasPrefix(node.Status.Gateway, "last-") {
				return false
			}
		}
		return true
	})
	t.Logf("no gateway left: the leader had ended all %d sessions after %s (Lease 5s and the grace)", len(f.Sim.Agents()), time.Since(began).Round(10*time.Millisecond))
	if at := f.nodesByName()[waiting.Spec.NodeName].Status.SessionEndedTime; at.After(time.Now().Add(time.Second)) {
		t.Errorf("the recorded end of a session, %s, is in the future", at)
	}
	began = time.Now()
	replicas[0].startReplica(t)
	f.AwaitAllOnline()
	t.Logf("one started again: all back after %s", time.Since(began).Round(10*time.Millisecond))
	f.checkRanOnce([]*v1alpha1.CapabilityDispatch{waiting})
}
