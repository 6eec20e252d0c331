package nodestatus

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// decodedNode returns a Node as the watch decodes it, with a separate copy of each text.
func decodedNode(name string) *v1alpha1.Node {
	schema := &v1alpha1.JSON{Raw: []byte(`{"type":"object"}`)}
	return &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: name, ResourceVersion: "7", Annotations: map[string]string{"note": strings.Repeat("x", 1000)}},
		Status: v1alpha1.NodeStatus{
			Gateway: "gw", System: &v1alpha1.SystemInfo{OS: "linux", Hostname: name},
			Capabilities:       []v1alpha1.NodeCapability{{Name: "echo", Description: strings.Clone("Returns its input."), InputSchema: schema, Available: true}},
			CertificateRequest: &v1alpha1.NodeCertificateRequest{Request: []byte("csr")},
			CertificateHistory: []v1alpha1.CertificateInfo{{FingerprintSHA256: "old"}},
			Issued:             &v1alpha1.IssuedCertificate{Chain: "chain"},
			Conditions: append(make([]metav1.Condition, 0, 8), metav1.Condition{Type: v1alpha1.ConditionReady},
				metav1.Condition{Type: v1alpha1.ConditionConnected, Message: strings.Clone("All is well.")}),
		},
	}
}

func mustTrim(t *testing.T, trim func(any) (any, error), node *v1alpha1.Node) *v1alpha1.Node {
	t.Helper()
	trimmed, err := trim(node)
	if err != nil {
		t.Fatal(err)
	}
	return trimmed.(*v1alpha1.Node)
}

func TestCachedNodesShareWhatTheyHaveInCommonAndLoseWhatNobodyReads(t *testing.T) {
	trim := TrimNode()
	a, b := mustTrim(t, trim, decodedNode("a")), mustTrim(t, trim, decodedNode("b"))
	for field, pair := range map[string][2]*string{
		"description": {&a.Status.Capabilities[0].Description, &b.Status.Capabilities[0].Description},
		"message":     {&a.Status.Conditions[0].Message, &b.Status.Conditions[0].Message},
	} {
		if unsafe.StringData(*pair[0]) != unsafe.StringData(*pair[1]) {
			t.Errorf("each Node has a %s of its own", field)
		}
	}
	if a.Status.Capabilities[0].InputSchema != b.Status.Capabilities[0].InputSchema {
		t.Error("each Node has a schema of its own")
	}
	want := decodedNode("b")
	want.Annotations, want.Status.CertificateRequest, want.Status.CertificateHistory = nil, nil, nil
	want.Status.Conditions = want.Status.Conditions[1:] // Ready belongs to the controller
	if diff := cmp.Diff(want, b); diff != "" {
		t.Errorf("the cached Node differs:\n%s", diff)
	}
	if room := cap(b.Status.Conditions); room > 2 {
		t.Errorf("the slice of one condition has the capacity %d, want at most 2", room)
	}
}

func TestSharedTextsAreBounded(t *testing.T) {
	shared := &interner{}
	for i := range 2 * maxInternedBytes / 100 {
		node := decodedNode("a")
		node.Status.Conditions[0].Message = fmt.Sprintf("%0100d", i)
		shared.internStatus(&node.Status)
		if shared.bytes > maxInternedBytes+1000 || len(shared.strings) > maxInternedBytes/internOverhead {
			t.Fatalf("%d bytes in %d texts are kept, want at most %d", shared.bytes, len(shared.strings), maxInternedBytes)
		}
	}
}

func TestASessionKeepsADescriptionThatTheNodeDoesNotSay(t *testing.T) {
	f := Facts{Description: Description{Declared: []v1alpha1.NodeCapability{{Name: "echo", Available: true}, {Name: "secret", Available: true}}}}
	stored, _, _ := effectiveCapabilities(f.Declared, v1alpha1.CapabilityPolicy{Allow: []string{"echo"}})
	f.ShareValues(&v1alpha1.NodeStatus{Capabilities: stored})
	if !f.Declared[1].Available {
		t.Error("a policy that withholds a capability changed what the machine declared")
	}
}

func TestSharedTextsCountTheirBytes(t *testing.T) {
	shared := &interner{}
	status := &v1alpha1.NodeStatus{Gateway: "gw", Capabilities: []v1alpha1.NodeCapability{{InputSchema: &v1alpha1.JSON{Raw: []byte(`{"a":1}`)}}}}
	shared.internStatus(status)
	shared.internStatus(status.DeepCopy())                                           // equal values cost nothing
	if want := len("gw") + len(`{"a":1}`) + 3*internOverhead; shared.bytes != want { // the empty text counts, too
		t.Errorf("%d bytes are counted, want %d", shared.bytes, want)
	}
	for bytes, kept := range map[int]bool{maxInternedBytes: true, maxInternedBytes + 1: false} {
		shared := &interner{bytes: bytes, strings: map[string]string{"old": "old"}, schemas: map[string]*v1alpha1.JSON{}}
		shared.internStatus(&v1alpha1.NodeStatus{})
		if _, ok := shared.strings["old"]; ok != kept {
			t.Errorf("a text is kept with %d bytes: %t, want %t", bytes, ok, kept)
		}
	}
	if shared.internStatus(&v1alpha1.NodeStatus{System: &v1alpha1.SystemInfo{OS: "linux"}}); shared.strings["linux"] == "" {
		t.Error("the texts of the system are not shared")
	}
}
