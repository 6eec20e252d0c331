package plugin_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/test/eventually"
)

const fingerprint = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

var verification = pairing.VerificationCode(fingerprint)

// newRequest returns a PairingRequest as a gateway creates it and the controller accepts it.
func newRequest(t *testing.T, ns, name string, change ...func(*v1alpha1.PairingRequestSpec)) *v1alpha1.PairingRequest {
	t.Helper()
	r := &v1alpha1.PairingRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: v1alpha1.PairingRequestSpec{
			NodeName: "press-3", PublicKey: "-----BEGIN PUBLIC KEY-----\n", PublicKeySHA256: fingerprint, VerificationCode: verification,
			Method: v1alpha1.PairingMethodPIN, CodeName: "code-x1", CodeIssuedBy: ida, TranscriptSHA256: fingerprint,
			System:                &v1alpha1.SystemInfo{Platform: "linux/amd64", Hostname: "evil\x1b[2J"},
			RequestedCapabilities: []string{"echo", "system.health"}, ExpiresTime: metav1.NewTime(time.Now().Add(time.Hour)),
		},
	}
	for _, c := range change {
		c(&r.Spec)
	}
	create(t, r)
	setRequestPhase(t, r, v1alpha1.PairingRequestPending)
	return r
}

func setRequestPhase(t *testing.T, r *v1alpha1.PairingRequest, phase v1alpha1.PairingRequestPhase) {
	t.Helper()
	r.Status.Phase = phase
	if err := sharedCluster.Client().Status().Update(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

// decisionOf returns the stored decision.
func decisionOf(t *testing.T, r *v1alpha1.PairingRequest) *v1alpha1.PairingDecision {
	t.Helper()
	var live v1alpha1.PairingRequest
	if err := sharedCluster.Client().Get(t.Context(), client.ObjectKeyFromObject(r), &live); err != nil {
		t.Fatal(err)
	}
	return live.Spec.Decision
}

func TestPendingListsWhatWaits(t *testing.T) {
	ns := newFleet(t)
	run(t, ada, ns, "pending").wantExit(0, "err:No machine waits for an approval")
	newRequest(t, ns, "waits")
	setRequestPhase(t, newRequest(t, ns, "over"), v1alpha1.PairingRequestExpired)
	run(t, ada, ns, "pending").wantExit(0, "NAME    NODE      VERIFICATION   PLATFORM      CAPABILITIES         ISSUED-BY   EXPIRES-IN\n"+
		"waits   press-3   "+verification+"    linux/amd64   echo,system.health   ida         59m\n")
	var list v1alpha1.PairingRequestList
	p := run(t, ada, ns, "pending", "-o", "json")
	p.decode(&list)
	if len(list.Items) != 1 || list.Items[0].Name != "waits" || list.Kind != "PairingRequestList" || list.Items[0].Kind != "PairingRequest" {
		t.Errorf("got %s", p.out.String())
	}
	run(t, nora, ns, "pending").wantExit(1, "err:ClusterRole mooring-approver")
}

func TestApproveWithoutATerminalNeedsYes(t *testing.T) {
	ns := newFleet(t)
	r := newRequest(t, ns, "r")
	run(t, ada, ns, "approve", "r").wantExit(2, "err:add --yes")
	if d := decisionOf(t, r); d != nil {
		t.Fatalf("it was decided: %+v", d)
	}
	run(t, ada, ns, "approve", "r", "--yes", "--capability", "echo", "--reason", "ticket 17").
		wantExit(0, "err:Verification code  "+verification, "err:"+fingerprint, "err:ida (PIN code code-x1)", "err:Approved pairing request \"r\" with echo.", "err:evil\uFFFD[2J")
	d := decisionOf(t, r)
	if d == nil || d.Verdict != v1alpha1.VerdictApproved || d.By != ada || d.Reason != "ticket 17" || len(d.Capabilities) != 1 {
		t.Errorf("decision is %+v", d)
	}
}

func TestADecisionIsFinalAndSaysSo(t *testing.T) {
	ns := newFleet(t)
	newRequest(t, ns, "r")
	p := run(t, ada, ns, "approve", "r", "--yes", "-o", "json")
	p.wantExit(0)
	var got v1alpha1.PairingRequest
	p.decode(&got)
	if got.Spec.Decision == nil || got.Spec.Decision.By != ada {
		t.Errorf("printed %s", p.out.String())
	}
	run(t, ada, ns, "approve", "r", "--yes").wantExit(0, "err:already approved by ada")
	run(t, ada, ns, "deny", "r", "--reason", "no").wantExit(1, "err:a decision is final", "err:desiredState")
}

func TestOneBadNameDoesNotHoldUpTheOthers(t *testing.T) {
	ns := newFleet(t)
	a, b := newRequest(t, ns, "a"), newRequest(t, ns, "b")
	run(t, ada, ns, "deny", "a", "typo", "b", "--reason", "the codes differ").
		wantExit(1, `err:no pairing request "typo"`, "err:Denied pairing request \"a\"", "err:Denied pairing request \"b\"")
	for _, r := range []*v1alpha1.PairingRequest{a, b} {
		if d := decisionOf(t, r); d == nil || d.Verdict != v1alpha1.VerdictDenied || d.Reason != "the codes differ" {
			t.Errorf("%s: decision is %+v", r.Name, d)
		}
	}
}

func TestWhatCannotBeApprovedSaysWhy(t *testing.T) {
	ns := newFleet(t)
	r := newRequest(t, ns, "r")
	run(t, ada, ns, "approve", "typo", "--yes").wantExit(1, "err:There are: r", "err:kubectl mooring pending")
	run(t, ada, ns, "approve", "r", "--yes", "--capability", "root").wantExit(2, "err:It asked for: echo, system.health")
	run(t, nora, ns, "approve", "r", "--yes").wantExit(1, "err:ClusterRole mooring-approver")
	run(t, pete, ns, "approve", "r", "--yes").wantExit(1, `err:user "pete" may not approve or deny`, "err:ask for the ClusterRole mooring-approver")
	if d := decisionOf(t, r); d != nil {
		t.Errorf("it was decided: %+v", d)
	}
}

// The controller rejects a name that is taken when it acts on the approval; the approver must see
// that.
func TestApproveShowsThatTheNameIsTaken(t *testing.T) {
	ns := newFleet(t)
	newNode(t, ns, "press-3", v1alpha1.PresenceOnline)
	r := newRequest(t, ns, "r")
	p := start(t, ada, ns, nil, "approve", "r", "--yes")
	eventually.True(t, "record the decision", func() bool { return decisionOf(t, r) != nil })
	if err := sharedCluster.Client().Get(t.Context(), client.ObjectKeyFromObject(r), r); err != nil {
		t.Fatal(err)
	}
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionCompleted, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonNameTaken, Message: `Node "press-3" exists: pair under another name`})
	setRequestPhase(t, r, v1alpha1.PairingRequestFailed)
	p.wantExit(1, `err:failed: NameTaken: Node "press-3" exists`, "err:the machine needs a new code")
	if strings.Contains(p.err.String(), "Approved pairing request") {
		t.Errorf("it also reports success:\n%s", p.err.String())
	}
}

func TestApproveShowsTheLabelsOfTheCode(t *testing.T) {
	ns := newFleet(t)
	create(t, &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "code-x1"},
		Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeLabels: map[string]v1alpha1.NodeLabelValue{"hall": "b", "line": "3"}}})
	newRequest(t, ns, "r")
	run(t, ada, ns, "approve", "r", "--yes").wantExit(0, "err:Labels             hall=b, line=3", "err:The controller has not acted on it yet")
}

func TestANamespaceThatDoesNotExistIsNamed(t *testing.T) {
	for _, args := range [][]string{{"nodes"}, {"nodes", "press-3"}, {"pending"}, {"approve", "x", "--yes"}, {"approve", "--all", "--yes"}, {"deny", "x", "--reason", "no"},
		{"code"}, {"grant", "press-3", "--capability", "echo"}, {"invoke", "press-3", "echo"}, {"invoke", "press-3", "echo", "--allow-absent"}} {
		p := startWith(t, sharedCluster.Kubeconfig(), nil, append(args, "-n", "workshpo")...)
		p.wantExit(1, `err:namespace "workshpo" does not exist`, "err:choose another with -n")
	}
	// A person without rights gets the same answer for a missing and a foreign namespace.
	run(t, ivan, "workshpo", "nodes").wantExit(1, `err:in namespace "workshpo". Is the name of the namespace right?`)
}
