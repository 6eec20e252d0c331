package config_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/mooring-dev/mooring/config"
)

// Every reference by name must resolve: accounts, labels, ports, the Secret, endpoints.
func TestProcessesFindWhatTheyReferTo(t *testing.T) {
	all := readProcesses(t)
	accounts, secret := shippedNames(t)
	matched := map[string]int{}
	for _, d := range all.deployments {
		pod := d.Spec.Template
		if !accounts[d.Namespace+"/"+pod.Spec.ServiceAccountName] {
			t.Errorf("%s: no ServiceAccount %s", d.Name, pod.Spec.ServiceAccountName)
		}
		for _, b := range all.budgets {
			if b.Namespace == d.Namespace && labels.SelectorFromSet(b.Spec.Selector.MatchLabels).Matches(labels.Set(pod.Labels)) {
				matched[d.Name]++
			}
		}
		for _, c := range pod.Spec.TopologySpreadConstraints {
			if !labels.SelectorFromSet(c.LabelSelector.MatchLabels).Matches(labels.Set(pod.Labels)) {
				t.Errorf("%s spreads over pods that are not its own", d.Name)
			}
		}
		if matched[d.Name] != 1 || len(pod.Spec.TopologySpreadConstraints) == 0 || *d.Spec.Replicas < 2 {
			t.Errorf("%s: %d budgets, %d replicas, constraints %v", d.Name, matched[d.Name], *d.Spec.Replicas, pod.Spec.TopologySpreadConstraints)
		}
		for _, v := range pod.Spec.Volumes {
			if v.Secret != nil && v.Secret.SecretName != secret {
				t.Errorf("%s mounts Secret %s, the certificate is in %s", d.Name, v.Secret.SecretName, secret)
			}
		}
		findsPorts(t, d, all.services[0])
		findsEndpoints(t, d)
	}
}

func findsPorts(t *testing.T, d *appsv1.Deployment, s *corev1.Service) {
	t.Helper()
	container := d.Spec.Template.Spec.Containers[0]
	has := map[string]int32{}
	for _, p := range container.Ports {
		has[p.Name] = p.ContainerPort
	}
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
		if probe == nil || has[probe.HTTPGet.Port.StrVal] != 8081 {
			t.Errorf("%s: probe %v is not on the health port", d.Name, probe)
		}
	}
	if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)) {
		return
	}
	for _, p := range s.Spec.Ports {
		if has[p.TargetPort.StrVal] != p.Port {
			t.Errorf("Service port %s leads to no port of %s", p.Name, d.Name)
		}
	}
	if len(s.Spec.Ports) != 2 {
		t.Errorf("the Service has %d ports, want both listeners", len(s.Spec.Ports))
	}
}

// findsEndpoints compares the endpoints of a Deployment with the generated ConfigMap and the
// Service.
func findsEndpoints(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	data, err := os.ReadFile("manager/kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct {
		ConfigMapGenerator []struct {
			Name, Namespace string
			Literals        []string
		}
	}
	if err := yaml.Unmarshal(data, &kustomization); err != nil {
		t.Fatal(err)
	}
	generated := kustomization.ConfigMapGenerator[0]
	ports := map[string]int{"pairing": 7443, "node": 7444}
	for _, e := range d.Spec.Template.Spec.Containers[0].Env {
		if e.ValueFrom == nil || e.ValueFrom.ConfigMapKeyRef == nil {
			continue
		}
		ref := e.ValueFrom.ConfigMapKeyRef
		want := fmt.Sprintf("%s=mooring-gateway.mooring-system.svc:%d", ref.Key, ports[ref.Key])
		if ref.Name != generated.Name || d.Namespace != generated.Namespace || !slices.Contains(generated.Literals, want) {
			t.Errorf("%s: %s is %s of %s, want %q among %+v", d.Name, e.Name, ref.Key, ref.Name, want, generated)
		}
	}
}

// shippedNames returns the accounts and the Secret of the gateways from config/rbac and
// config/cert-manager.
func shippedNames(t *testing.T) (accounts map[string]bool, secret string) {
	t.Helper()
	accounts = map[string]bool{}
	for _, dir := range []string{config.DirRBAC, config.DirCertManager} {
		objects, err := config.Objects(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			switch {
			case o.GetKind() == "ServiceAccount":
				accounts[o.GetNamespace()+"/"+o.GetName()] = true
			case o.GetKind() == "Certificate" && o.GetName() == "mooring-gateway":
				spec, _ := o.Object["spec"].(map[string]any)
				secret, _ = spec["secretName"].(string)
			}
		}
	}
	return accounts, secret
}
