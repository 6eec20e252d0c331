package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const shipped = "../../config/gitops"

var (
	argoByPhase = map[string]map[string]string{
		"CapabilityDispatch": {
			"Queued": "Progressing", "Dispatched": "Progressing", "AwaitingLocalMediation": "Suspended", "Succeeded": "Healthy",
			"Failed": "Degraded", "TimedOut": "Degraded", "Rejected": "Degraded", "Cancelled": "Degraded",
		},
		"PairingRequest": {
			"Pending": "Suspended", "Approved": "Progressing", "Completed": "Healthy",
			"Denied": "Degraded", "Expired": "Degraded", "Failed": "Degraded",
		},
	}
	// fluxByArgo maps the status of Argo CD to the status of Flux, which has only three values.
	fluxByArgo = map[string]string{"Progressing": "InProgress", "Suspended": "InProgress", "Healthy": "Current", "Degraded": "Failed"}
)

// readEnum reads the values of a field of status from the CRD, in its order.
func readEnum(t *testing.T, plural, field string) []string {
	t.Helper()
	crd := read(t, filepath.Join("../../config/crd/bases", "mooring.dev_"+plural+".yaml"))
	versions, _, _ := unstructured.NestedSlice(crd, "spec", "versions")
	version, _ := versions[0].(map[string]any)
	values, found, err := unstructured.NestedStringSlice(version, "schema", "openAPIV3Schema", "properties", "status", "properties", field, "enum")
	if err != nil || !found || len(values) < 3 || len(versions) != 1 {
		t.Fatalf("enum of %s.status.%s: %v %t %v", plural, field, values, found, err)
	}
	return values
}

func read(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// newObject returns an object of a kind with the given status; nil: the object has no status.
func newObject(kind string, status map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "mooring.dev/v1alpha1", "kind": kind, "metadata": map[string]any{"name": "x", "generation": int64(2)},
	}}
	if status != nil {
		o.Object["status"] = status
	}
	return o
}

// evaluate evaluates the object with both engines.
func evaluate(t *testing.T, object *unstructured.Unstructured) (argo health, status string) {
	t.Helper()
	argo, err := evaluateArgoCD(t.Context(), scriptPath(shipped, object.GetKind()), object)
	if err != nil {
		t.Fatalf("Argo CD: %v", err)
	}
	status, err = evaluateFlux(t.Context(), filepath.Join(shipped, "flux", "health.yaml"), object)
	if err != nil {
		t.Fatalf("Flux: %v", err)
	}
	return argo, status
}

// A phase that is added to the API is missing in the tables above and fails this test.
func TestEveryPhaseOfTheAPIHasAHealth(t *testing.T) {
	for kind, plural := range map[string]string{"CapabilityDispatch": "capabilitydispatches", "PairingRequest": "pairingrequests"} {
		phases := readEnum(t, plural, "phase")
		if len(phases) != len(argoByPhase[kind]) {
			t.Errorf("%s has %d phases, %d are expected", kind, len(phases), len(argoByPhase[kind]))
		}
		for _, phase := range phases {
			want := argoByPhase[kind][phase]
			argo, status := evaluate(t, newObject(kind, map[string]any{"phase": phase}))
			if want == "" || argo.Status != want || status != fluxByArgo[want] || !strings.HasPrefix(argo.Message, phase) {
				t.Errorf("%s %s: Argo CD %+v, Flux %s, want %q and %q", kind, phase, argo, status, want, fluxByArgo[want])
			}
		}
	}
}

// The test combines every trust with every presence.
func TestHealthOfANode(t *testing.T) {
	for _, trust := range readEnum(t, "nodes", "trust") {
		for _, presence := range readEnum(t, "nodes", "presence") {
			want := "Progressing"
			switch connected := presence == "Online" || presence == "Degraded"; {
			case trust == "Trusted" && connected:
				want = "Healthy"
			case trust == "Suspended":
				want = "Suspended"
			case trust == "Revoked", trust == "Expired":
				want = "Degraded"
			}
			argo, status := evaluate(t, newObject("Node", map[string]any{"trust": trust, "presence": presence}))
			if argo.Status != want || status != fluxByArgo[want] || argo.Message != presence+", "+trust {
				t.Errorf("%s %s: Argo CD %+v, Flux %s, want %s", trust, presence, argo, status, want)
			}
		}
	}
}

// The reason of a failure or of a long wait comes first in the message for people.
func TestMessagesSayWhy(t *testing.T) {
	condition := func(kind, status, message string) []any {
		return []any{map[string]any{"type": kind, "status": status, "message": message}}
	}
	for _, try := range []struct {
		kind, status, message string
	}{
		{"CapabilityDispatch", `{"phase":"Failed","execution":"Unknown","error":{"code":"AgentRestarted","message":"the agent stopped"}}`,
			"Failed, AgentRestarted: the agent stopped (execution Unknown)"},
		{"CapabilityDispatch", `{"phase":"Rejected","execution":"NotStarted","error":{"code":"NotGranted"}}`, "Rejected, NotGranted (execution NotStarted)"},
		{"CapabilityDispatch", `{"phase":"AwaitingLocalMediation","mediation":{"askedUser":"ute"}}`, "AwaitingLocalMediation: ute is asked at the machine"},
		{"CapabilityDispatch", `{"phase":"AwaitingLocalMediation","mediation":{}}`, "AwaitingLocalMediation: a person is asked at the machine"},
		{"CapabilityDispatch", `{"phase":"Dispatched","execution":"Started","progress":{"percent":40}}`, "Dispatched, 40 %"},
		{"CapabilityDispatch", `{"phase":"Dispatched","progress":{"message":"begun"}}`, "Dispatched, 0 %"},
		{"CapabilityDispatch", `{"phase":"Succeeded","execution":"Finished","progress":{"percent":90},"mediation":{"askedUser":"ute"}}`, "Succeeded"},
		{"CapabilityDispatch", ``, "Queued"},
		{"CapabilityDispatch", `{}`, "Queued"},
		{"PairingRequest", ``, "not looked at yet"},
		{"Node", ``, "Offline, Pending"},
	} {
		var status map[string]any
		if try.status != "" {
			if err := json.Unmarshal([]byte(try.status), &status); err != nil {
				t.Fatal(err)
			}
		}
		argo, err := evaluateArgoCD(t.Context(), scriptPath(shipped, try.kind), newObject(try.kind, status))
		if err != nil || argo.Message != try.message {
			t.Errorf("%s %s: %+v, %v, want %q", try.kind, try.status, argo, err, try.message)
		}
	}
	denied := newObject("PairingRequest", map[string]any{"phase": "Denied", "conditions": condition("Approved", "False", "not one of ours")})
	if argo, _ := evaluate(t, denied); argo.Message != "Denied: not one of ours" {
		t.Errorf("a denied request: %+v", argo)
	}
	away := newObject("Node", map[string]any{"trust": "Trusted", "presence": "Stale", "conditions": condition("Ready", "False", "the session was lost")})
	if argo, _ := evaluate(t, away); argo.Message != "Stale, Trusted: the session was lost" {
		t.Errorf("a Node that is away: %+v", argo)
	}
}

// A phase of a later version is neither good nor bad, so that nothing which waits for the object
// continues.
func TestAnUnknownPhaseIsNotHealthy(t *testing.T) {
	for kind := range argoByPhase {
		if argo, status := evaluate(t, newObject(kind, map[string]any{"phase": "Later"})); argo.Status != "Unknown" || status != "InProgress" {
			t.Errorf("%s: Argo CD %+v, Flux %s", kind, argo, status)
		}
	}
	if argo, status := evaluate(t, newObject("Node", map[string]any{"trust": "Later", "presence": "Online"})); argo.Status != "Unknown" || status != "InProgress" {
		t.Errorf("Node: Argo CD %+v, Flux %s", argo, status)
	}
}

// An expression of Flux cannot test whether an object has a status: the CRD gives every dispatch
// and Node a default status. No status has an observedGeneration that could be late. A spec does
// not change except for spec.cancel, which the phase answers.
func TestEveryObjectHasAStatusFromTheStart(t *testing.T) {
	for plural, field := range map[string]string{"capabilitydispatches": "phase", "nodes": "presence"} {
		crd := read(t, filepath.Join("../../config/crd/bases", "mooring.dev_"+plural+".yaml"))
		versions, _, _ := unstructured.NestedSlice(crd, "spec", "versions")
		version, _ := versions[0].(map[string]any)
		status, _, _ := unstructured.NestedMap(version, "schema", "openAPIV3Schema", "properties", "status")
		properties, _ := status["properties"].(map[string]any)
		phase, _ := properties[field].(map[string]any)
		if status["default"] == nil || phase["default"] == nil || properties["observedGeneration"] != nil {
			t.Errorf("%s: defaults %v and %v, observedGeneration %v", plural, status["default"], phase["default"], properties["observedGeneration"])
		}
	}
	if _, err := evaluateFlux(t.Context(), filepath.Join(shipped, "flux", "health.yaml"), newObject("CapabilityDispatch", nil)); err == nil {
		t.Error("Flux takes a dispatch without a status: the defaults are not needed any more")
	}
}

func TestTheCommandSaysBoth(t *testing.T) {
	var out bytes.Buffer
	in := strings.NewReader(`{"apiVersion":"mooring.dev/v1alpha1","kind":"CapabilityDispatch","status":{"phase":"Succeeded"}}`)
	if err := run(t.Context(), shipped, in, &out); err != nil || out.String() != "argocd Healthy: Succeeded\nflux Current\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := run(t.Context(), shipped, strings.NewReader(`{"apiVersion":"v1","kind":"Pod"}`), &out); err == nil {
		t.Error("a Pod has a health")
	}
}
