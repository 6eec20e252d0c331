package stack_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// createInvitation creates a QR code as a person does and returns its content and the name of the code.
func (f *fleet) createInvitation(args ...string) (invitation pairing.Invitation, code string) {
	f.Helper()
	argv := append([]string{"kubectl", "mooring", "code", "--method", "QR", "-n", f.Namespace, "-o", "json"}, args...)
	out, err := system.Run(f.BoundedContext(), stack.Admin, argv...)
	if err != nil {
		f.Fatal(err)
	}
	var printed struct{ Name, URI string }
	if err := json.Unmarshal([]byte(out), &printed); err != nil {
		f.Fatalf("read %q: %v", out, err)
	}
	if invitation, err = pairing.ParseURI(printed.URI); err != nil {
		f.Fatal(err)
	}
	return invitation, printed.Name
}

// startWithQRCode starts an agent that receives a QR code and nothing else, with a directory of that name.
func (f *fleet) startWithQRCode(name string, invitation pairing.Invitation, args ...string) *stack.Process {
	f.Helper()
	file := filepath.Join(f.TempDir(), "uri")
	if err := os.WriteFile(file, []byte(invitation.String()+"\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	agent, err := system.StartAgentAt(f.Namespace+"-"+name, "", append([]string{"--pair", "@" + file}, args...)...)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(agent.Stop)
	return agent
}

// approve approves a request as a person does after comparing the codes.
func (f *fleet) approve(request string) {
	f.Helper()
	if _, err := system.Run(f.BoundedContext(), stack.Admin, "kubectl", "mooring", "approve", request, "--yes", "-n", f.Namespace); err != nil {
		f.Fatal(err)
	}
}

func TestAMachinePairsByQRCode(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	invitation, code := f.createInvitation("--name", "kiosk", "--label", "hall=b")
	if invitation.Gateway != system.PairingEndpoint {
		t.Errorf("the picture leads to %s, the gateway is at %s", invitation.Gateway, system.PairingEndpoint)
	}
	agent := f.startWithQRCode("kiosk", invitation)
	request := f.AwaitRequest(code)
	if request.Spec.Method != v1alpha1.PairingMethodQR {
		t.Errorf("the method of the request is %s", request.Spec.Method)
	}
	if err := agent.WaitFor(f.BoundedContext(), "Verification code: "+request.Spec.VerificationCode); err != nil {
		t.Error(err)
	}
	f.approve(request.Name)
	if node := f.AwaitOnline("kiosk"); node.Labels["hall"] != "b" {
		t.Errorf("the Node does not have the labels of the code: %v", node.Labels)
	}
	if d := f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{"text": "hi"})); d.Status.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("echo ended %+v", d.Status)
	}
	if strings.Contains(agent.Output(), invitation.Secret) {
		t.Error("the agent prints the secret")
	}
	// The QR code is used up: another machine cannot pair with it.
	expectExit(f, f.startWithQRCode("second", invitation), "does not accept this pairing code")
}

func TestACodeThatApprovesByItselfNeedsNobody(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	invitation, name := f.createInvitation("--name", "kiosk", "--auto-approve", "--capability", "echo")
	f.startWithQRCode("kiosk", invitation)
	node := f.AwaitOnline("kiosk")
	if got := node.Spec.CapabilityPolicy.Allow; len(got) != 1 || got[0] != "echo" {
		t.Errorf("the code grants echo, the Node may %v", got)
	}
	code := testfleet.Await(f, name, &v1alpha1.PairingCode{}, "Used", func(c *v1alpha1.PairingCode) bool { return c.Status.Phase == v1alpha1.PairingCodeUsed })
	request := testfleet.Await(f, code.Status.UsedBy, &v1alpha1.PairingRequest{}, "decided", func(r *v1alpha1.PairingRequest) bool { return r.Spec.Decision != nil })
	d := request.Spec.Decision
	if d.Verdict != v1alpha1.VerdictApproved || !strings.HasSuffix(d.By, ":mooring-controller") ||
		!strings.Contains(d.Reason, name) || !strings.Contains(d.Reason, code.Spec.IssuedBy) {
		t.Errorf("the decision does not name the code and its issuer: %+v", d)
	}
	// The code was for one machine.
	expectExit(f, f.startWithQRCode("second", invitation), "does not accept this pairing code")
}

func TestAReinstalledMachineTakesOverItsNode(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	invitation, code := f.createInvitation("--name", "kiosk", "--label", "hall=b", "--capability", "echo")
	old := f.startWithQRCode("kiosk", invitation)
	f.approve(f.AwaitRequest(code).Name)
	before := f.AwaitOnline("kiosk")
	f.PatchNode("kiosk", `{"spec":{"desiredState":"Suspended","maxInFlight":2}}`)
	old.Stop()
	waiting := f.CreateDispatch("kiosk", "echo", map[string]any{"text": "still here"})
	// The old installation reconnects and sees the dispatch, but must not run it.
	old = f.StartAgent("kiosk")
	testfleet.Await(f, "kiosk", before, "Online again", func(n *v1alpha1.Node) bool {
		return n.Status.Presence == v1alpha1.PresenceOnline && !n.Status.SessionStartedTime.Before(&waiting.CreationTimestamp)
	})

	invitation, code = f.createInvitation("--name", "kiosk", "--replace")
	fresh := f.startWithQRCode("reinstalled", invitation)
	request := f.AwaitRequest(code)
	if request.Spec.PublicKeySHA256 == before.Spec.PublicKeySHA256 {
		t.Fatal("both installations have one key")
	}
	f.approve(request.Name)
	if err := fresh.WaitFor(f.BoundedContext(), "Session open with gateway"); err != nil {
		t.Fatal(err)
	}
	if err := old.WaitFor(f.BoundedContext(), "refuses this machine: its Node is pinned to another key"); err != nil {
		t.Error(err)
	}
	f.PatchNode("kiosk", `{"spec":{"desiredState":"Active"}}`)
	if d := f.AwaitEnded(waiting); d.Status.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("the waiting dispatch ended %+v, %+v", d.Status, d.Status.Error)
	}
	after := f.AwaitOnline("kiosk")
	if after.UID != before.UID || after.Labels["hall"] != "b" || after.Spec.MaxInFlight != 2 || len(after.Spec.CapabilityPolicy.Allow) != 1 {
		t.Errorf("it is another Node, or lost its labels or policy: %+v %+v", after.ObjectMeta, after.Spec)
	}
	if after.Spec.PublicKeySHA256 != request.Spec.PublicKeySHA256 || after.Spec.PairingRequestUID != string(request.UID) {
		t.Errorf("the Node is not that of the new key: %+v", after.Spec)
	}
}
