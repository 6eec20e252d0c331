package config_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// processes holds the objects of config/manager, decoded without tolerance for unknown fields.
type processes struct {
	deployments []*appsv1.Deployment
	services    []*corev1.Service
	budgets     []*policyv1.PodDisruptionBudget
}

func readProcesses(t *testing.T) processes {
	t.Helper()
	names, err := filepath.Glob("manager/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var all processes
	for _, name := range names {
		if filepath.Base(name) == "kustomization.yaml" {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(data), "\n---\n") {
			object, _, err := decoder.Decode([]byte(document), nil, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all.add(t, object)
		}
	}
	if len(all.deployments) != 2 || len(all.services) != 1 || len(all.budgets) != 2 {
		t.Fatalf("%d Deployments, %d Services, %d budgets", len(all.deployments), len(all.services), len(all.budgets))
	}
	return all
}

func (p *processes) add(t *testing.T, object runtime.Object) {
	t.Helper()
	switch o := object.(type) {
	case *appsv1.Deployment:
		p.deployments = append(p.deployments, o)
	case *corev1.Service:
		p.services = append(p.services, o)
	case *policyv1.PodDisruptionBudget:
		p.budgets = append(p.budgets, o)
	default:
		t.Fatalf("no test covers %T", object)
	}
}

// managerFlags returns the role of every flag of the manager, from the generated reference.
func managerFlags(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("../docs/reference/manager.md")
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)[^`]*` \\| (\\w+) \\|").FindAllStringSubmatch(string(data), -1) {
		roles[row[1]] = row[2]
	}
	if roles["role"] != "both" || roles["tls-dir"] != "gateway" {
		t.Fatalf("cannot parse the reference: %v", roles)
	}
	return roles
}

func TestEveryArgumentIsAFlagOfItsRole(t *testing.T) {
	roles := managerFlags(t)
	required := map[string][]string{
		"controller": {"role", "advertise-pairing-endpoint"},
		"gateway":    {"role", "tls-dir", "advertise-node-endpoint"},
	}
	for _, d := range readProcesses(t).deployments {
		container := d.Spec.Template.Spec.Containers[0]
		given := map[string]string{}
		for _, arg := range container.Args {
			name, value, found := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
			if !found || !strings.HasPrefix(arg, "--") {
				t.Errorf("%s: argument %q is not --flag=value", d.Name, arg)
			}
			given[name] = value
		}
		role := given["role"]
		for name, value := range given {
			if of := roles[name]; of != "both" && of != role {
				t.Errorf("%s: --%s is a flag of role %q", d.Name, name, of)
			}
			if variable, found := strings.CutPrefix(value, "$("); found && !hasVariable(container, strings.TrimSuffix(variable, ")")) {
				t.Errorf("%s: --%s=%s has no such variable", d.Name, name, value)
			}
		}
		for _, name := range required[role] {
			if given[name] == "" {
				t.Errorf("%s: --%s is missing", d.Name, name)
			}
		}
		if d.Name != "mooring-"+role || d.Spec.Template.Spec.ServiceAccountName != d.Name {
			t.Errorf("%s runs role %q as %q", d.Name, role, d.Spec.Template.Spec.ServiceAccountName)
		}
	}
}

func hasVariable(c corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name })
}

// The kubelet counts preStop as part of the grace period; the process takes up to 30 s after it.
func TestTheGraceOfAPodFitsItsEnd(t *testing.T) {
	for _, d := range readProcesses(t).deployments {
		pod, before := d.Spec.Template.Spec, int64(0)
		if l := pod.Containers[0].Lifecycle; l != nil {
			before = l.PreStop.Sleep.Seconds
		}
		if grace := *pod.TerminationGracePeriodSeconds; grace < before+30+5 {
			t.Errorf("%s: grace of %d s for %d s of preStop and 30 s of ending", d.Name, grace, before)
		}
	}
}
