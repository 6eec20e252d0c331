package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Names of the components in config/components.
const (
	componentAgent         = "agent"
	componentPrometheus    = "prometheus"
	componentNetworkPolicy = "network-policy"
)

// build returns the objects that kubectl apply -k creates from an overlay of config/install with
// components. It returns only the kinds of the decoder, decoded without tolerance for unknown
// fields.
func build(t *testing.T, components ...string) []runtime.Object {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	up, err := filepath.Rel(dir, here)
	if err != nil {
		t.Fatal(err)
	}
	overlay := "resources:\n- " + up + "/install\n"
	for i, c := range components {
		if i == 0 {
			overlay += "components:\n"
		}
		overlay += "- " + up + "/components/" + c + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	decoder := strictDecoder(t)
	var objects []runtime.Object
	for _, resource := range resources.Resources() {
		if group := resource.GetGvk().Group; strings.HasSuffix(group, "cert-manager.io") || strings.HasPrefix(group, "admissionregistration") || strings.HasPrefix(group, "apiextensions") {
			continue // embed_test.go and the integration tests check these
		}
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", resource.CurId(), err)
		}
		objects = append(objects, object)
	}
	return objects
}

func strictDecoder(t *testing.T) runtime.Decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme, rbacv1.AddToScheme,
		networkingv1.AddToScheme, schedulingv1.AddToScheme, monitoringv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

// objectsOfKind returns the objects of one kind.
func objectsOfKind[T runtime.Object](objects []runtime.Object) []T {
	var of []T
	for _, o := range objects {
		if typed, ok := o.(T); ok {
			of = append(of, typed)
		}
	}
	return of
}

// Each component must work alone, and all must work together.
func TestComponentsAddWhatTheySay(t *testing.T) {
	plain := len(build(t))
	together := 0
	for component, adds := range map[string]int{componentAgent: 8, componentPrometheus: 1, componentNetworkPolicy: 4} {
		if got := len(build(t, component)) - plain; got != adds {
			t.Errorf("component %s adds %d objects, want %d", component, got, adds)
		}
		together += adds
	}
	if got := len(build(t, componentAgent, componentPrometheus, componentNetworkPolicy)) - plain; got != together {
		t.Errorf("all components add %d objects, want %d", got, together)
	}
}
