package stack_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// wrongPIN returns another PIN of the same form.
func wrongPIN(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

func TestThreeWrongPINsBurnTheCodeAcrossAGatewayRestart(t *testing.T) {
	f := newFleet(t)
	code, object := f.IssuePIN("kiosk")
	for i, name := range []string{"first", "second", "third"} {
		if i == 2 {
			f.RestartGateway()
		}
		agent := f.StartAgent(name, "--code", wrongPIN(code))
		expectExit(f, agent, "does not accept this pairing code")
	}
	burnt := testfleet.Await(f, object.Name, object, "Burnt", func(c *v1alpha1.PairingCode) bool { return c.Status.Phase == v1alpha1.PairingCodeBurnt })
	if burnt.Status.AttemptsLeft != nil && *burnt.Status.AttemptsLeft != 0 {
		t.Errorf("a burnt code has %d attempts left", *burnt.Status.AttemptsLeft)
	}
	agent := f.StartAgent("fourth", "--code", code)
	expectExit(f, agent, "does not accept this pairing code")
}

func TestExpiredCodeIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	secret, object := f.IssueCode(v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: "kiosk", TTLSeconds: 30})
	testfleet.Await(f, object.Name, object, "Expired", func(c *v1alpha1.PairingCode) bool { return c.Status.Phase == v1alpha1.PairingCodeExpired })
	expectExit(f, f.StartAgent("kiosk", "--code", string(secret.Data[v1alpha1.SecretKeyCode])), "does not accept this pairing code")
}

func TestDeniedRequestTellsTheMachineWhy(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	agent, request := f.StartPairing("kiosk")
	f.Decide(request.Name, `{"verdict":"Denied","reason":"not one of ours"}`)
	expectExit(f, agent, "not one of ours")
	testfleet.Await(f, request.Name, request, "Denied", func(r *v1alpha1.PairingRequest) bool { return r.Status.Phase == v1alpha1.PairingRequestDenied })
}

func TestSecondMachineWithTheSameNameIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.Pair("kiosk")
	code, _ := f.IssuePIN("kiosk")
	other, err := system.StartAgent(f.Namespace+"-other", "--code", code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Stop)
	expectExit(f, other, "another machine has this node name")
}

func TestUnreachableGatewayIsSaidAndTriedAgain(t *testing.T) {
	f := newFleet(t)
	code, _ := f.IssuePIN("kiosk")
	system.Gateways[0].Stop()
	agent := f.StartAgent("kiosk", "--code", code)
	err := agent.WaitFor(f.BoundedContext(), "cannot be reached")
	if startErr := system.StartGateway(0); startErr != nil {
		t.Fatal(startErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.WaitFor(f.BoundedContext(), "Waiting for approval"); err != nil {
		t.Fatal(err)
	}
}

func TestUngrantedAndUnknownCapabilitiesAreRejectedWithAReason(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	agent, request := f.StartPairing("kiosk")
	_ = agent
	f.approveOnly(request.Name, "echo")
	f.AwaitOnline("kiosk")
	for capability, code := range map[string]string{
		"system.health": v1alpha1.ErrorNotGranted,
		"no.such-thing": v1alpha1.ErrorUnknownCapability,
	} {
		d := f.AwaitEnded(f.CreateDispatch("kiosk", capability, map[string]any{}))
		if d.Status.Phase != v1alpha1.DispatchRejected || d.Status.Execution != v1alpha1.ExecutionNotStarted {
			t.Errorf("%s ended %+v", capability, d.Status)
			continue
		}
		if d.Status.Error == nil || (d.Status.Error.Code != code && d.Status.Error.Code != v1alpha1.ErrorNotGranted) || d.Status.Error.Message == "" {
			t.Errorf("%s was rejected with %+v, want %s and a message", capability, d.Status.Error, code)
		}
	}
}

func TestInputThatIsNotAnObjectIsRefusedByTheServer(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, input := range []string{`"text"`, `[1]`, `7`, `true`} {
		d := &v1alpha1.CapabilityDispatch{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, GenerateName: "d-"},
			Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: "kiosk", Capability: "echo", Input: &v1alpha1.JSON{Raw: []byte(input)}},
		}
		if err := system.Client.Create(t.Context(), d); err == nil || !strings.Contains(err.Error(), "input") || !strings.Contains(err.Error(), "object") {
			t.Errorf("input %s: %v", input, err)
		}
	}
}

func TestDispatchToAnAbsentNodeTimesOutNotStarted(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	d := f.CreateDispatch("nobody", "echo", map[string]any{}, func(s *v1alpha1.CapabilityDispatchSpec) { s.ExpirySeconds = 2 })
	if d.Status.Phase != v1alpha1.DispatchQueued {
		t.Errorf("a new dispatch is %q", d.Status.Phase)
	}
	d = f.AwaitEnded(d)
	if d.Status.Phase != v1alpha1.DispatchTimedOut || d.Status.Execution != v1alpha1.ExecutionNotStarted || d.Status.Error == nil {
		t.Errorf("it ended %+v", d.Status)
	}
}

func TestNodeDeletedWhileConnectedEndsItsWorkFirst(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	agent := f.Pair("kiosk")
	running := f.CreateDispatch("kiosk", "test.append", map[string]any{"file": filepath.Join(t.TempDir(), "runs"), "line": "deleted", "sleepMilliseconds": 60000}, func(s *v1alpha1.CapabilityDispatchSpec) { s.TimeoutSeconds = 120 })
	testfleet.Await(f, running.Name, running, "Dispatched", func(d *v1alpha1.CapabilityDispatch) bool { return d.Status.Phase == v1alpha1.DispatchDispatched })
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "kiosk"}}
	if err := system.Client.Delete(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d := f.AwaitEnded(running)
	if d.Status.Phase != v1alpha1.DispatchFailed || d.Status.Execution != v1alpha1.ExecutionUnknown {
		t.Errorf("the running dispatch ended %+v", d.Status)
	}
	f.Eventually("the Node to go", func() bool { return system.Client.Get(t.Context(), f.ObjectKey("kiosk"), node) != nil })
	if err := agent.WaitUntil(f.BoundedContext(), "report that its Node was deleted", func(out string) bool {
		return strings.Contains(out, "refuses this machine: its Node was deleted")
	}); err != nil {
		t.Error(err)
	}
}

func TestIdentityDirectoryWithLoosePermissionsIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.Pair("kiosk").Stop()
	dir := system.IdentityDir(f.Namespace + "-kiosk")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	expectExit(f, f.StartAgent("kiosk"), "chmod")
}

func TestGatewaySaysWhichPortIsInUse(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := stack.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := system.StartExtraGateway("port-in-use", taken.Addr().String(), free[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if err := p.WaitUntil(f.BoundedContext(), "name the address", func(out string) bool {
		return strings.Contains(out, taken.Addr().String()) && strings.Contains(out, "in use")
	}); err != nil {
		t.Error(err)
	}
}
