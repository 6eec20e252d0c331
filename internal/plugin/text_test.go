package plugin

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

// compareGolden compares text with a file of testdata.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), write it with -update:\n%s", path, diff)
	}
}

func tableText(t *testing.T, header []string, rows [][]string) string {
	t.Helper()
	var out strings.Builder
	if err := printTable(&out, header, rows); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPendingShowsTheMostUrgentRequestFirst(t *testing.T) {
	later := pendingRequest("press-3-9f86d081-k7qx2m")
	urgent := pendingRequest("lathe-1-9f86d081-aaaaaa", func(r *v1alpha1.PairingRequest) {
		r.Spec.NodeName, r.Spec.System, r.Spec.CodeIssuedBy = "lathe-1", nil, ""
		r.Spec.ServiceAccount = &v1alpha1.ServiceAccountIdentity{Namespace: "agents", Name: "lathe"}
		r.Spec.RequestedCapabilities = []string{"a", "b", "c", "d", "e", "f"}
		r.Spec.ExpiresTime = metav1.NewTime(noon.Add(45 * time.Second))
	})
	compareGolden(t, "pending.txt", tableText(t, pendingHeader, pendingRows([]v1alpha1.PairingRequest{*later, *urgent}, noon)))
}

func TestAnApproverSeesWhatToCompareAndHowLongIsLeft(t *testing.T) {
	compareGolden(t, "request.txt", describeRequest(pendingRequest("press-3-9f86d081-k7qx2m"), codeWithLabels(), nil, noon)+"\n")
	compareGolden(t, "request-urgent.txt", describeRequest(pendingRequest("press-3-9f86d081-k7qx2m", func(r *v1alpha1.PairingRequest) {
		r.Spec.ExpiresTime = metav1.NewTime(noon.Add(45 * time.Second))
	}), nil, onlineNode("press-3"), noon)+"\n")
}

func TestNodesAreListedAndDescribed(t *testing.T) {
	fresh := onlineNode("new", func(n *v1alpha1.Node) { n.Status = v1alpha1.NodeStatus{} })
	compareGolden(t, "nodes.txt", tableText(t, nodesHeader, nodeRows([]v1alpha1.Node{*onlineNode("press-3"), *fresh}, noon)))
	troubled := onlineNode("press-3", func(n *v1alpha1.Node) {
		n.Spec.DesiredState, n.Spec.RevocationReason = v1alpha1.NodeRevoked, "stolen"
		n.Status.Conditions = []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "NodeRevoked", Message: "it was revoked"},
			{Type: v1alpha1.ConditionConnected, Status: metav1.ConditionTrue, Reason: "SessionStarted"},
			{Type: v1alpha1.ConditionClockSkew, Status: metav1.ConditionTrue, Reason: "ClockSkewed", Message: "it is 2m ahead"},
		}
	})
	compareGolden(t, "node.txt", nodeText(troubled, noon)+"\n"+tableText(t, capabilityHeader, capabilityRows(troubled)))
}

func TestACodeIsPrintedWithTheLineToRun(t *testing.T) {
	expires := metav1.NewTime(noon.Add(10 * time.Minute))
	pin := issuedCode{Method: v1alpha1.PairingMethodPIN, Code: "K7QX2M-482913", Address: "gw.example:7443", ExpiresTime: &expires,
		Command: "mooring-agent run --pairing gw.example:7443 --code K7QX2M-482913"}
	compareGolden(t, "code-pin.txt", pin.text(noon))
	pin.Address, pin.Command = "", "mooring-agent run --pairing GATEWAY:7443 --code K7QX2M-482913"
	compareGolden(t, "code-pin-without-address.txt", pin.text(noon))
	qr := issuedCode{Method: v1alpha1.PairingMethodQR, URI: "mooring://pair?gateway=gw.example:7443&code=K7QX2M", Address: "gw.example:7443", ExpiresTime: &expires,
		Command: "mooring-agent run --pair -"}
	compareGolden(t, "code-qr.txt", qr.text(noon))
	qr.Picture, qr.Replaces, qr.AutoApprove = "press-3.png", "press-3", true
	compareGolden(t, "code-qr-deciding.txt", qr.text(noon))
}

func TestWhatAMachineSaysCannotSteerTheTerminal(t *testing.T) {
	got := tableText(t, []string{"A", "B"}, [][]string{{"x\x1b[2Jy\nz\tw", ""}, {"\u202eevil", "\u009b1m"}})
	want := "A                  B\nx\uFFFD[2Jy z w   -\n\uFFFDevil   \uFFFD1m\n"
	if collapseSpaces(got) != collapseSpaces(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.ContainsAny(got, "\x1b\t\u202e\u009b") {
		t.Errorf("control characters came through: %q", got)
	}
}

func codeWithLabels() *v1alpha1.PairingCode {
	return &v1alpha1.PairingCode{Spec: v1alpha1.PairingCodeSpec{NodeLabels: map[string]v1alpha1.NodeLabelValue{"line": "3", "hall": "b"}}}
}

func collapseSpaces(s string) string { return strings.Join(strings.Fields(s), " ") }
