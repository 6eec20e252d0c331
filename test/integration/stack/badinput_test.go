package stack_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// wrong changes the PIN of a code, keeping its form.
func wrong(code string) string {
	last := code[len(code)-1]
	return code[:len(code)-1] + string('0'+(last-'0'+1)%10)
}

func TestThreeWrongPINsBurnTheCodeAcrossAGatewayRestart(t *testing.T) {
	f := newFleet(t)
	code, object := f.issue(v1alpha1.PairingCodeSpec{NodeName: "kiosk"})
	for i, who := range []string{"first", "second", "third"} {
		if i == 2 {
			restartGateway(f)
		}
		agent := f.agent(who, "--code", wrong(code))
		expectExit(f, agent, "does not accept this pairing code")
	}
	burnt := await(f, object.Name, object, "Burnt", func(c *v1alpha1.PairingCode) bool { return c.Status.Phase == v1alpha1.PairingCodeBurnt })
	if burnt.Status.AttemptsLeft != nil && *burnt.Status.AttemptsLeft != 0 {
		t.Errorf("a burnt code has %d attempts left", *burnt.Status.AttemptsLeft)
	}
	agent := f.agent("fourth", "--code", code)
	expectExit(f, agent, "does not accept this pairing code")
}

func TestExpiredCodeIsRefused(t *testing.T) {
	f := newFleet(t)
	code, object := f.issue(v1alpha1.PairingCodeSpec{NodeName: "kiosk", TTLSeconds: 30})
	await(f, object.Name, object, "Expired", func(c *v1alpha1.PairingCode) bool { return c.Status.Phase == v1alpha1.PairingCodeExpired })
	expectExit(f, f.agent("kiosk", "--code", code), "does not accept this pairing code")
}

func TestDeniedRequestTellsTheMachineWhy(t *testing.T) {
	f := newFleet(t)
	agent, request := f.knock("kiosk")
	f.decide(request.Name, v1alpha1.VerdictDenied, "not one of ours")
	expectExit(f, agent, "not one of ours")
	await(f, request.Name, request, "Denied", func(r *v1alpha1.PairingRequest) bool { return r.Status.Phase == v1alpha1.PairingRequestDenied })
}

func TestSecondMachineWithTheSameNameIsRefused(t *testing.T) {
	f := newFleet(t)
	f.pair("kiosk")
	code, _ := f.issue(v1alpha1.PairingCodeSpec{NodeName: "kiosk"})
	other, err := system.StartAgent(f.namespace+"-other", "--code", code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Stop)
	expectExit(f, other, "another machine has this node name")
}

func TestUnreachableGatewayIsSaidAndTriedAgain(t *testing.T) {
	f := newFleet(t)
	code, _ := f.issue(v1alpha1.PairingCodeSpec{NodeName: "kiosk"})
	system.Gateways[0].Stop()
	agent := f.agent("kiosk", "--code", code)
	err := agent.WaitFor(f.within(), "cannot be reached")
	if startErr := system.StartGateway(0); startErr != nil {
		t.Fatal(startErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.WaitFor(f.within(), "Waiting for approval"); err != nil {
		t.Fatal(err)
	}
}

func TestUngrantedAndUnknownCapabilitiesAreRejectedWithAReason(t *testing.T) {
	f := newFleet(t)
	agent, request := f.knock("kiosk")
	_ = agent
	f.decideNarrow(request.Name, "echo")
	f.online("kiosk")
	for capability, code := range map[string]string{
		"system.health": v1alpha1.ErrorNotGranted,
		"no.such-thing": v1alpha1.ErrorUnknownCapability,
	} {
		d := f.ended(f.ask("kiosk", capability, map[string]any{}))
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
	f := newFleet(t)
	for _, input := range []string{`"text"`, `[1]`, `7`, `true`} {
		d := &v1alpha1.CapabilityDispatch{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, GenerateName: "d-"},
			Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: "kiosk", Capability: "echo", Input: &v1alpha1.JSON{Raw: []byte(input)}},
		}
		if err := system.Client.Create(t.Context(), d); err == nil || !strings.Contains(err.Error(), "input") || !strings.Contains(err.Error(), "object") {
			t.Errorf("input %s: %v", input, err)
		}
	}
}

func TestDispatchToAnAbsentNodeTimesOutNotStarted(t *testing.T) {
	f := newFleet(t)
	d := f.ask("nobody", "echo", map[string]any{}, func(s *v1alpha1.CapabilityDispatchSpec) { s.ExpirySeconds = 2 })
	if d.Status.Phase != v1alpha1.DispatchQueued {
		t.Errorf("a new dispatch is %q", d.Status.Phase)
	}
	d = f.ended(d)
	if d.Status.Phase != v1alpha1.DispatchTimedOut || d.Status.Execution != v1alpha1.ExecutionNotStarted || d.Status.Error == nil {
		t.Errorf("it ended %+v", d.Status)
	}
}

func TestNodeDeletedWhileConnectedEndsItsWorkFirst(t *testing.T) {
	f := newFleet(t)
	agent := f.pair("kiosk")
	running := f.ask("kiosk", "test.append", map[string]any{"file": filepath.Join(t.TempDir(), "runs"), "line": "deleted", "sleepMilliseconds": 60000}, func(s *v1alpha1.CapabilityDispatchSpec) { s.TimeoutSeconds = 120 })
	await(f, running.Name, running, "Dispatched", func(d *v1alpha1.CapabilityDispatch) bool { return d.Status.Phase == v1alpha1.DispatchDispatched })
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "kiosk"}}
	if err := system.Client.Delete(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d := f.ended(running)
	if d.Status.Phase != v1alpha1.DispatchFailed || d.Status.Execution != v1alpha1.ExecutionUnknown {
		t.Errorf("what ran ended %+v", d.Status)
	}
	f.eventually("the Node to go", func() bool { return system.Client.Get(t.Context(), f.key("kiosk"), node) != nil })
	if err := agent.Until(f.within(), "say that the cluster refuses it", func(out string) bool {
		return strings.Contains(strings.ToLower(out), "refused") || strings.Contains(strings.ToLower(out), "no longer") || strings.Contains(strings.ToLower(out), "revoked")
	}); err != nil {
		t.Error(err)
	}
}

func TestIdentityDirectoryWithLoosePermissionsIsRefused(t *testing.T) {
	f := newFleet(t)
	f.pair("kiosk").Stop()
	dir := system.IdentityDir(f.namespace + "-kiosk")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	expectExit(f, f.agent("kiosk"), "chmod")
}

func TestGatewaySaysWhichPortIsInUse(t *testing.T) {
	f := newFleet(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p, err := system.SpareGateway("port-in-use", taken.Addr().String(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if err := p.Until(f.within(), "name the address", func(out string) bool {
		return strings.Contains(out, taken.Addr().String()) && strings.Contains(out, "in use")
	}); err != nil {
		t.Error(err)
	}
}
