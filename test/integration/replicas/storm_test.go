package replicas_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/simfleet"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// A gateway with many machines is killed and started again. Its machines reconnect to either
// gateway, spread over time and with one write each. The machines of the other gateway are not
// affected.
func TestReconnectStorm(t *testing.T) {
	t.Parallel()
	lockGateways(t)
	f := newFleet(t, system.NodeEndpoints(), simfleet.CISized(80, 2000), nil)
	f.spreadAgents(10)
	f.Eventually("all recorded", func() bool { return len(f.onGateway("gateway-0"))+len(f.onGateway("gateway-1")) == len(f.Sim.Agents()) })
	lost, staying := f.onGateway("gateway-0"), f.onGateway("gateway-1")
	sessions := map[*sim.Agent]int{}
	for _, a := range f.Sim.Agents() {
		sessions[a] = a.Sessions()
	}
	seen, stored := recordEvents(t, f.Namespace), nodeStatusWrites(t)
	began := time.Now()
	system.Gateways[0].Kill()
	var asked []*v1alpha1.CapabilityDispatch
	var waits []time.Duration
	if err := system.StartGateway(0); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 20 || f.Sim.Online() < len(f.Sim.Agents()); i++ {
		sent := time.Now()
		if sent.Sub(began) > testfleet.WaitTimeout {
			f.AwaitAllOnline()
		}
		d := f.createDispatch(staying[i%len(staying)].Name, 0)
		f.AwaitEnded(d)
		asked, waits = append(asked, d), append(waits, time.Since(sent))
	}
	startGateway(t, 0)
	f.Eventually("all recorded", func() bool { return len(f.onGateway("gateway-0"))+len(f.onGateway("gateway-1")) == len(f.Sim.Agents()) })
	var reconnectTimes []time.Duration
	for _, a := range lost {
		at, _ := a.Opened()
		reconnectTimes = append(reconnectTimes, at.Sub(began))
	}
	slices.Sort(reconnectTimes)
	slices.Sort(waits)
	writes, _, _, _ := seen.counts()
	t.Logf("%d of %d machines lost their gateway; back after: first %s, half %s, last %s; %d writes to Nodes (%.0f by apiserver_request_total)",
		len(lost), len(f.Sim.Agents()), reconnectTimes[0].Round(time.Millisecond), reconnectTimes[len(reconnectTimes)/2].Round(time.Millisecond), reconnectTimes[len(reconnectTimes)-1].Round(time.Millisecond), writes, nodeStatusWrites(t)-stored)
	t.Logf("%d dispatches to machines of the other gateway meanwhile: half %s, slowest %s", len(waits), waits[len(waits)/2].Round(time.Millisecond), waits[len(waits)-1].Round(time.Millisecond))
	f.checkRanOnce(asked)
	if len(f.Sim.Agents()) >= 80 && reconnectTimes[len(reconnectTimes)-1]-reconnectTimes[0] < 200*time.Millisecond {
		t.Errorf("all were back within %s of each other: nothing spread them", reconnectTimes[len(reconnectTimes)-1]-reconnectTimes[0])
	}
	for _, a := range staying {
		if a.Sessions() != sessions[a] {
			t.Errorf("%s lost its session though its gateway lived", a.Name)
		}
	}
	// One write records the new session. A second one is rare: a change in the meantime, or a write
	// of the leader.
	if writes > 2*len(lost)+20 {
		t.Errorf("%d writes to Nodes for %d machines that came back", writes, len(lost))
	}
	if away := seen.absentNodes(); len(away) > len(lost)/2 {
		t.Errorf("%d of %d machines were reported absent: %v", len(away), len(lost), away)
	}
}

// nodeStatusWrites counts writes to the status of Nodes since the API server started.
func nodeStatusWrites(t *testing.T) (total float64) {
	t.Helper()
	access := system.Cluster.AdminConfig()
	c, err := rest.HTTPClientFor(access)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Get(strings.TrimRight(access.Host, "/") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		ours := strings.HasPrefix(line, "apiserver_request_total{") && strings.Contains(line, `group="`+v1alpha1.GroupVersion.Group+`"`) &&
			strings.Contains(line, `resource="nodes"`) && strings.Contains(line, `subresource="status"`) && !strings.Contains(line, `verb="GET"`)
		if !ours {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value); err != nil {
			t.Fatalf("read %q: %v", line, err)
		}
		total += value
	}
	return total
}
