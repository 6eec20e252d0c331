package api_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// A pipeline applies the same manifests repeatedly, while other users change the objects.
func TestServerSideApplyOfADispatchTwiceChangesNothing(t *testing.T) {
	namespace := shared.Namespace(t)
	ivo := mayInvoke(t, namespace, "ivo", "echo")
	tia := mayInvoke(t, namespace, "tia", "echo")
	manifest := map[string]any{"nodeName": "bench-3", "capability": "echo", "input": map[string]any{"text": "hi"}}
	apply := func(c client.Client, owner string) error {
		o := newObject("CapabilityDispatch", namespace, "hello", manifest)
		return c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(owner))
	}
	o := newObject("CapabilityDispatch", namespace, "hello", nil)
	wantAccepted(t, apply(ivo, "pipeline"))
	first := getLive(t, o)
	wantAccepted(t, apply(ivo, "pipeline"))
	wantAccepted(t, apply(tia, "pipeline"))
	wantAccepted(t, apply(tia, "another"))
	again := getLive(t, o)
	if first.GetUID() != again.GetUID() || first.GetGeneration() != again.GetGeneration() {
		t.Errorf("applying again changed the spec: generation %d, then %d", first.GetGeneration(), again.GetGeneration())
	}
	if got := stampOf(t, o, "requestedBy"); got != "ivo" {
		t.Errorf("requestedBy is %q, want ivo", got)
	}
	wantAccepted(t, patchStatus(t, shared.Client(), o, `{"status":{"phase":"Succeeded","execution":"Finished"}}`))
	wantAccepted(t, patch(t, tia, o, `{"spec":{"cancel":true}}`))
	wantAccepted(t, apply(ivo, "pipeline"))
	if cancel, _, _ := unstructured.NestedBool(getLive(t, o).Object, "spec", "cancel"); !cancel {
		t.Error("applying again removed the cancellation")
	}
}

func TestAnApproverMayApplyTheDecisionTwice(t *testing.T) {
	namespace := shared.Namespace(t)
	ann := approver(t, namespace, "ann")
	o := newObject("PairingRequest", namespace, "one", requestSpec(nil))
	mustCreate(t, o)
	for range 2 {
		decision := newObject("PairingRequest", namespace, "one", map[string]any{"decision": map[string]any{"verdict": "Approved"}})
		wantAccepted(t, ann.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(decision), client.FieldOwner("approvals")))
		if got := stampOf(t, o, "decision", "by"); got != "ann" {
			t.Errorf("decision.by is %q, want ann", got)
		}
	}
}

func TestKubectlAppliesTheSamplesTwice(t *testing.T) {
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	namespace := shared.Namespace(t)
	for _, sample := range []string{"pairingcode.yaml", "dispatch-echo.yaml", "dispatch-health.yaml"} {
		for _, flags := range [][]string{nil, {"--server-side", "--force-conflicts"}} {
			manifest := sampleIn(t, filepath.Join(root, "config", "samples", sample), namespace)
			for range 2 {
				args := append([]string{"--kubeconfig", shared.Kubeconfig(), "apply", "-f", "-"}, flags...)
				cmd := exec.CommandContext(t.Context(), shared.Binary("kubectl"), args...)
				cmd.Stdin = bytes.NewReader(manifest)
				if output, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("kubectl apply %v %s: %v\n%s", flags, sample, err, output)
				}
			}
		}
	}
}
