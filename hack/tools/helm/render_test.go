package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The paths are relative to the directory of these tests.
const (
	chartDir  = "../../../charts/mooring"
	configDir = "../../../config"
)

// rendered holds the objects that Helm would send to a cluster, by kind, namespace and name, and
// the notes that it would print.
type rendered struct {
	objects map[string]*unstructured.Unstructured
	notes   string
}

// render renders the chart as helm template does; values is YAML over the defaults of the chart.
func render(t *testing.T, values string) rendered {
	t.Helper()
	out, err := tryRender(t, values, "mooring-system", nil)
	if err != nil {
		t.Fatalf("render with %s: %v", values, err)
	}
	return out
}

// tryRender renders the chart for a cluster that serves versions; with nil no cluster is asked.
func tryRender(t *testing.T, values, namespace string, versions []string) (rendered, error) {
	t.Helper()
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.APIVersions = slices.Concat(capabilities.APIVersions, versions)
	given := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	release := common.ReleaseOptions{Name: "mooring", Namespace: namespace, IsInstall: true, Revision: 1}
	loaded := loadChart(t)
	all, err := util.ToRenderValues(loaded, given, release, capabilities)
	if err != nil {
		return rendered{}, err
	}
	texts, err := engine.Engine{Strict: true}.Render(loaded, all)
	if err != nil {
		return rendered{}, err
	}
	out := rendered{objects: map[string]*unstructured.Unstructured{}, notes: texts["mooring/templates/NOTES.txt"]}
	delete(texts, "mooring/templates/NOTES.txt")
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		for _, o := range decodeDocuments(t, file, texts[file]) {
			if out.objects[objectKey(o)] != nil {
				t.Errorf("%s is made twice", objectKey(o))
			}
			out.objects[objectKey(o)] = o
		}
	}
	return out, nil
}

func loadChart(t *testing.T) *chartv2.Chart {
	t.Helper()
	loaded, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func objectKey(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// decodeDocuments reads the documents of a file and fails the test for a duplicate key.
func decodeDocuments(t *testing.T, file, text string) (all []*unstructured.Unstructured) {
	t.Helper()
	for _, document := range strings.Split("\n"+text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict([]byte(document), &o.Object); err != nil {
			t.Fatalf("%s: %v\n%s", file, err, document)
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
	return all
}
