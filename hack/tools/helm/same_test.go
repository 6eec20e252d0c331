package chart

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// With default values, Helm installs the same objects as kubectl apply -k config/install.
func TestTheChartIsTheInstall(t *testing.T) {
	for values, components := range map[string][]string{
		`{}`:                               nil,
		`{agent: {enabled: true}}`:         {"agent"},
		`{podMonitor: {enabled: true}}`:    {"prometheus"},
		`{networkPolicy: {enabled: true}}`: {"network-policy"},
		`{agent: {enabled: true}, podMonitor: {enabled: true}, networkPolicy: {enabled: true}}`: {"agent", "prometheus", "network-policy"},
	} {
		t.Run(strings.Join(components, "+"), func(t *testing.T) {
			compareInstalls(t, kustomized(t, components...), render(t, values))
		})
	}
}

// kustomized returns the objects of an overlay of config/install with components.
func kustomized(t *testing.T, components ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	config, err := filepath.Rel(dir, filepath.Join(here, configDir))
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string][]string{"resources": {config + "/install"}}
	for _, c := range components {
		overlay["components"] = append(overlay["components"], config+"/components/"+c)
	}
	text, err := yaml.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]*unstructured.Unstructured{}
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range decodeDocuments(t, dir, string(text)) {
			objects[objectKey(o)] = o
		}
	}
	return objects
}

// compareInstalls compares the objects of both ways to install.
func compareInstalls(t *testing.T, kustomize map[string]*unstructured.Unstructured, helm rendered) {
	t.Helper()
	want, got := map[string]any{}, map[string]any{}
	for _, o := range kustomize {
		if o.GetKind() == "Namespace" && o.GetName() == "mooring-system" {
			continue // the namespace of the release exists before the release
		}
		o = normalized(t, o)
		want[objectKey(o)] = o.Object
	}
	for _, o := range helm.objects {
		if o.GetAnnotations()["helm.sh/hook"] != "" {
			continue // it is not part of the installation
		}
		o = normalized(t, o)
		got[objectKey(o)] = o.Object
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" || len(want) < 40 {
		t.Fatalf("%d objects of kustomize, %d of Helm (-kustomize +Helm):\n%s", len(want), len(got), diff)
	}
	for name := range want {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s (-kustomize +Helm):\n%s", name, diff)
		}
	}
}

// nameHash matches the suffix that kustomize adds to the name of the generated ConfigMap. The chart has
// an annotation of the pods instead. Both restart pods when the endpoints change.
var nameHash = regexp.MustCompile(`mooring-endpoints-[a-z0-9]{10}\b`)

// normalized removes the intended differences.
func normalized(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	text, err := yaml.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	out := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(nameHash.ReplaceAll(text, []byte("mooring-endpoints")), &out.Object); err != nil {
		t.Fatal(err)
	}
	removeKey(out.Object, "helm.sh/resource-policy", "metadata", "annotations")
	removeKey(out.Object, "checksum/endpoints", "spec", "template", "metadata", "annotations")
	return out
}

// removeKey removes a key of a map, and the map if it is then empty.
func removeKey(object map[string]any, name string, path ...string) {
	of, found, _ := unstructured.NestedMap(object, path...)
	if !found {
		return
	}
	delete(of, name)
	if len(of) == 0 {
		unstructured.RemoveNestedField(object, path...)
		return
	}
	_ = unstructured.SetNestedMap(object, of, path...)
}
