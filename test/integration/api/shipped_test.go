package api_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// The proof compares the live policies with the shipped ones, so the files must contain every
// default.
func TestLivePoliciesEqualTheShippedOnes(t *testing.T) {
	objects, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) < 20 {
		t.Fatalf("only %d policies and bindings are shipped", len(objects))
	}
	for _, o := range objects {
		if diff := cmp.Diff(o.Object["spec"], getLive(t, o).Object["spec"]); diff != "" {
			t.Errorf("%s %s differs (-shipped +live):\n%s", o.GetKind(), o.GetName(), diff)
		}
	}
}

func TestNewObjectsHaveTheirDefaults(t *testing.T) {
	namespace := shared.Namespace(t)
	for _, try := range []struct {
		kind       string
		spec       map[string]any
		wantSpec   map[string]any
		wantStatus map[string]any
	}{
		{"CapabilityDispatch", map[string]any{"nodeName": "n", "capability": "echo"},
			map[string]any{"nodeName": "n", "capability": "echo", "maxPayloadBytes": int64(65536), "timeoutSeconds": int64(30),
				"expirySeconds": int64(3600), "requestedBy": "admin", "requestedByGroups": []any{"admins"}},
			map[string]any{"phase": "Queued"}},
		{"PairingCode", map[string]any{"method": "PIN"},
			map[string]any{"method": "PIN", "ttlSeconds": int64(600), "autoApprove": false, "replaceNode": false, "issuedBy": "admin"},
			map[string]any{}},
		{"Node", map[string]any{"publicKeySHA256": keyA, "pairingRequestUID": "u"},
			map[string]any{"publicKeySHA256": keyA, "pairingRequestUID": "u", "desiredState": "Active", "maxInFlight": int64(4)},
			map[string]any{"presence": "Offline", "trust": "Pending"}},
	} {
		o := newObject(try.kind, namespace, "defaults", try.spec)
		mustCreate(t, o) // the response to the create has them too
		for _, read := range []*unstructured.Unstructured{o, getLive(t, o)} {
			spec := read.Object["spec"].(map[string]any)
			for _, stamp := range []string{"requestedBy", "issuedBy"} {
				if spec[stamp] != nil {
					spec[stamp] = "admin"
				}
			}
			if spec["requestedByGroups"] != nil {
				spec["requestedByGroups"] = []any{"admins"}
			}
			if diff := cmp.Diff(try.wantSpec, spec); diff != "" {
				t.Errorf("spec of %s (-want +got):\n%s", try.kind, diff)
			}
			if diff := cmp.Diff(try.wantStatus, read.Object["status"]); diff != "" {
				t.Errorf("status of %s (-want +got):\n%s", try.kind, diff)
			}
		}
	}
}

func TestUnfinishedDispatchesAreSelectedByFields(t *testing.T) {
	namespace := shared.Namespace(t)
	dispatchIn(t, namespace, "open", `{"status":{"phase":"Dispatched"}}`)
	mustCreate(t, newObject("CapabilityDispatch", namespace, "new", dispatchSpec(map[string]any{"nodeName": "other"})))
	dispatchIn(t, namespace, "done", `{"status":{"phase":"Failed"}}`)
	for selector, want := range map[string]string{
		"status.phase!=Succeeded,status.phase!=Failed,status.phase!=TimedOut,status.phase!=Rejected,status.phase!=Cancelled": "new open",
		"spec.nodeName=other":                       "new",
		"spec.capability=echo":                      "done new open",
		"status.phase=Queued":                       "new",
		"spec.nodeName=bench-3,status.phase=Failed": "done",
	} {
		parsed := fields.ParseSelectorOrDie(selector)
		list := &v1alpha1.CapabilityDispatchList{}
		wantAccepted(t, shared.Client().List(t.Context(), list, client.InNamespace(namespace), client.MatchingFieldsSelector{Selector: parsed}))
		var names []string
		for _, item := range list.Items {
			names = append(names, item.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s selects %q, want %q", selector, got, want)
		}
	}
}

// The output of kubectl must have a useful value in every column.
func TestColumnsOfKubectlGet(t *testing.T) {
	namespace := shared.Namespace(t)
	node := newObject("Node", namespace, "bench-3", nodeSpec(nil))
	mustCreate(t, node)
	wantAccepted(t, patchStatus(t, shared.Client(), node, `{"status":{"presence":"Online","trust":"Trusted","since":"2020-01-01T00:00:00Z",
		"capabilitySummary":"3/4","system":{"platform":"linux/amd64"},"gateway":"g-1","certificateExpires":"2030-01-01T00:00:00Z","fingerprintShort":"abcd"}}`))
	mustCreate(t, newObject("PairingCode", namespace, "code-1", codeSpec(nil)))
	mustCreate(t, newObject("PairingRequest", namespace, "request-1", requestSpec(nil)))
	mustCreate(t, newObject("CapabilityDispatch", namespace, "hello", dispatchSpec(nil)))
	for args, want := range map[string][]string{
		"mnode":         {"NAME PRESENCE TRUST PLATFORM CAPABILITIES SINCE AGE", "bench-3 Online Trusted linux/amd64 3/4 "},
		"mnode -o wide": {"AGE GATEWAY CERT-EXPIRES FINGERPRINT", " g-1 2030-01-01T00:00:00Z abcd"},
		"pcode":         {"NAME METHOD PHASE NODE ISSUED-BY SECRET AGE", "code-1 QR bench-3 "},
		"preq":          {"NAME PHASE NODE METHOD PLATFORM VERIFICATION AGE", "request-1 bench-3 PIN linux/amd64 ABCDE-FGHIJ"},
		"cdisp":         {"NAME NODE CAPABILITY PHASE EXECUTION REQUESTED-BY AGE", "hello bench-3 echo Queued "},
		"mooring -o name": {"node.mooring.dev/bench-3", "pairingcode.mooring.dev/code-1",
			"pairingrequest.mooring.dev/request-1", "capabilitydispatch.mooring.dev/hello"},
	} {
		line := append([]string{"--kubeconfig", shared.Kubeconfig(), "--namespace", namespace, "get"}, strings.Fields(args)...)
		output, err := exec.CommandContext(t.Context(), shared.Binary("kubectl"), line...).CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl get %s: %v\n%s", args, err, output)
		}
		flat := strings.Join(strings.Fields(string(output)), " ")
		for _, part := range want {
			if !strings.Contains(flat, strings.TrimSpace(part)) {
				t.Errorf("kubectl get %s does not show %q:\n%s", args, part, output)
			}
		}
	}
}

// sampleIn returns a sample in another fleet.
func sampleIn(t *testing.T, path, namespace string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(data, []byte("namespace: workshop"), []byte("namespace: "+namespace))
}

// Users apply the kustomization, programs the embedded files: both must be the same objects.
func TestTheKustomizationIsWhatIsEmbedded(t *testing.T) {
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.CommandContext(t.Context(), shared.Binary("kubectl"), "kustomize", filepath.Join(root, "config", "default")).Output()
	if err != nil {
		t.Fatal(err)
	}
	kustomized, embedded := map[string]any{}, map[string]any{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(output), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kustomized[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()] = o.Object
	}
	for _, dir := range []string{config.DirCRD, config.DirRBAC, config.DirPolicy, config.DirCertManager} {
		objects, err := config.Objects(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			embedded[o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName()] = o.Object
		}
	}
	if diff := cmp.Diff(kustomized, embedded); diff != "" {
		t.Errorf("(-kustomized +embedded):\n%s", diff)
	}
}
