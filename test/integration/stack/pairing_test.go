package stack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

func TestMachinePairsIsApprovedAndRunsCapabilities(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	agent, request := f.StartPairing("kiosk")
	if !strings.Contains(agent.Stdout(), request.Spec.VerificationCode) {
		t.Errorf("the machine's screen and the request show different codes: %q, %q", agent.Stdout(), request.Spec.VerificationCode)
	}
	approved := time.Now()
	f.Approve(request.Name)
	f.AwaitOnline("kiosk")
	t.Logf("approval to Online: %.2f s", time.Since(approved).Seconds())

	echo := f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{"text": "hi"}))
	if echo.Status.Phase != v1alpha1.DispatchSucceeded || echo.Status.Execution != v1alpha1.ExecutionFinished {
		t.Fatalf("echo ended %+v", echo.Status)
	}
	if got := string(echo.Status.Output.Raw); got != `{"text":"hi"}` {
		t.Errorf("echo answered %s", got)
	}
	for _, capability := range []string{"system.health", "system.identity"} {
		d := f.AwaitEnded(f.CreateDispatch("kiosk", capability, map[string]any{}))
		var output map[string]any
		if d.Status.Phase != v1alpha1.DispatchSucceeded || json.Unmarshal(d.Status.Output.Raw, &output) != nil || len(output) == 0 {
			t.Errorf("%s ended %+v", capability, d.Status)
		}
	}
}

func TestSecondStartNeedsNoCode(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	agent := f.Pair("kiosk")
	agent.Stop()
	testfleet.Await(f, "kiosk", &v1alpha1.Node{}, "not Online", func(n *v1alpha1.Node) bool {
		return n.Status.Presence == v1alpha1.PresenceStale || n.Status.Presence == v1alpha1.PresenceOffline
	})
	f.StartAgent("kiosk")
	f.AwaitOnline("kiosk")
}

// A short dispatch on a connected Node costs its creation and one status PUT, and no other write.
// The counters of the apiserver prove it.
func TestShortDispatchCostsTwoWrites(t *testing.T) {
	f := newFleet(t)
	system.GatewayArgs = append(system.GatewayArgs, "--dispatched-delay=10m")
	t.Cleanup(func() {
		system.GatewayArgs = system.GatewayArgs[:len(system.GatewayArgs)-1]
		f.RestartGateway()
	})
	f.RestartGateway()
	f.Pair("kiosk")
	const count = 20
	// The start time of a session has whole seconds: a dispatch that is created in its first second
	// is backlog.
	waitForFastPath(f, "kiosk")
	f.Eventually("the dispatches of earlier tests to be gone", func() bool {
		var all v1alpha1.CapabilityDispatchList
		return system.Client.List(t.Context(), &all) == nil && len(all.Items) == 0
	})
	before := dispatchWrites(t)
	for i := range count {
		d := f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{"n": i}))
		if d.Status.Phase != v1alpha1.DispatchSucceeded {
			t.Fatalf("dispatch %d ended %+v", i, d.Status)
		}
	}
	after := dispatchWrites(t)
	got := map[string]int{}
	for verb, n := range after {
		if n != before[verb] {
			got[verb] = n - before[verb]
		}
	}
	want := map[string]int{"POST": count, "PUT status": count}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("writes for %d dispatches: %v, want %v", count, got, want)
	}
}

// waitForFastPath waits until a dispatch created now is later than the start of the session.
func waitForFastPath(f *fleet, node string) {
	f.Helper()
	f.Eventually("a second after the session began", func() bool {
		var n v1alpha1.Node
		if err := system.Client.Get(f.Context(), f.ObjectKey(node), &n); err != nil || n.Status.SessionStartedTime == nil {
			return false
		}
		return time.Since(n.Status.SessionStartedTime.Time) > 2*time.Second
	})
}

// dispatchWrites reads apiserver_request_total: successful writes of capabilitydispatches.
func dispatchWrites(t *testing.T) map[string]int {
	t.Helper()
	text := apiserverMetrics(t)
	counts := map[string]int{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "apiserver_request_total{") || !strings.Contains(line, `resource="capabilitydispatches"`) {
			continue
		}
		verb, sub := label(line, "verb"), label(line, "subresource")
		switch verb {
		case "POST", "PUT", "PATCH", "APPLY": // deletions come from the namespaces of earlier tests
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " ")+1:], &value); err != nil {
				t.Fatalf("read %q: %v", line, err)
			}
			counts[strings.TrimSpace(verb+" "+sub)] += int(value)
		}
	}
	return counts
}

func label(line, name string) string {
	_, rest, _ := strings.Cut(line, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func apiserverMetrics(t *testing.T) string {
	t.Helper()
	access := system.Cluster.AdminConfig()
	transport, err := rest.HTTPClientFor(access)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimRight(access.Host, "/")+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestRevokedNodeIsCutOffAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	agent := f.Pair("kiosk")
	revoked := time.Now()
	node := &v1alpha1.Node{}
	node.Namespace, node.Name = f.Namespace, "kiosk"
	if err := system.Client.Patch(t.Context(), node, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"desiredState":"Revoked"}}`))); err != nil {
		t.Fatal(err)
	}
	testfleet.Await(f, "kiosk", node, "disconnected", func(n *v1alpha1.Node) bool {
		return n.Status.Trust == v1alpha1.TrustRevoked && n.Status.Presence != v1alpha1.PresenceOnline
	})
	t.Logf("revocation to a closed session: %.2f s", time.Since(revoked).Seconds())
	if err := agent.WaitUntil(f.BoundedContext(), "report that it was revoked", func(out string) bool {
		return strings.Contains(strings.ToLower(out), "revoked")
	}); err != nil {
		t.Error(err)
	}
	d := f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{}))
	// For two minutes after the session's end, no process can prove across clocks that the dispatch
	// was not offered. It is then Failed and Unknown.
	proven := d.Status.Phase == v1alpha1.DispatchRejected && d.Status.Execution == v1alpha1.ExecutionNotStarted
	unproven := d.Status.Phase == v1alpha1.DispatchFailed && d.Status.Execution == v1alpha1.ExecutionUnknown
	if !(proven || unproven) || d.Status.Error.Code != v1alpha1.ErrorNodeRevoked {
		t.Errorf("a dispatch to a revoked Node ended %+v", d.Status)
	}
}
