package config_test

import (
	"slices"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	admission "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// templates returns the pod templates of the workloads, by the name of the workload.
func templates(objects []runtime.Object) map[string]corev1.PodTemplateSpec {
	pods := map[string]corev1.PodTemplateSpec{}
	for _, d := range objectsOfKind[*appsv1.Deployment](objects) {
		d.Spec.Template.Namespace = d.Namespace
		pods[d.Name] = d.Spec.Template
	}
	for _, d := range objectsOfKind[*appsv1.DaemonSet](objects) {
		d.Spec.Template.Namespace = d.Namespace
		pods[d.Name] = d.Spec.Template
	}
	return pods
}

// The API server's own code checks every pod against the standard of its namespace. The agent may
// violate the restricted standard only where docs/how-to/in-cluster.md lists an exception.
func TestPodsPassTheStandardsOfTheirNamespaces(t *testing.T) {
	objects := build(t, componentAgent)
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]admission.Level{}
	for _, n := range objectsOfKind[*corev1.Namespace](objects) {
		levels[n.Name] = admission.Level(n.Labels[admission.EnforceLevelLabel])
	}
	exceptions := map[string]map[string]bool{
		"mooring-agent": {"restricted volume types": false, "runAsNonRoot != true": false, "runAsUser=0": false},
	}
	for name, pod := range templates(objects) {
		level := levels[pod.Namespace]
		if level == "" {
			t.Errorf("namespace %s of %s enforces nothing", pod.Namespace, name)
		}
		at := func(level admission.Level) []policy.CheckResult {
			return evaluator.EvaluatePod(admission.LevelVersion{Level: level, Version: admission.LatestVersion()}, &pod.ObjectMeta, &pod.Spec)
		}
		if r := policy.AggregateCheckResults(at(level)); !r.Allowed {
			t.Errorf("%s is refused in its namespace: %s", name, r.ForbiddenDetail())
		}
		seen := exceptions[name]
		for _, r := range at(admission.LevelRestricted) {
			if r.Allowed {
				continue
			}
			if _, known := seen[r.ForbiddenReason]; !known {
				t.Errorf("%s is not restricted: %s (%s)", name, r.ForbiddenReason, r.ForbiddenDetail)
				continue
			}
			seen[r.ForbiddenReason] = true
		}
		for reason, broken := range seen {
			if !broken {
				t.Errorf("%s keeps %q after all: the exception is not needed", name, reason)
			}
		}
	}
}

// Checks beyond the restricted standard: read-only root file systems and memory bounds.
func TestEveryContainerHasBounds(t *testing.T) {
	for name, pod := range templates(build(t, componentAgent)) {
		for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
			if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
				t.Errorf("container %s of %s may write into its image", c.Name, name)
			}
			if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("container %s of %s has no bound for its memory", c.Name, name)
			}
		}
	}
}

func matches(t *testing.T, selector metav1.LabelSelector, pod corev1.PodTemplateSpec) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(labels.Set(pod.Labels))
}

// A port that is closed must be closed on purpose: add it here, or to a policy.
func TestEveryPortIsOpenedOrClosedOnPurpose(t *testing.T) {
	objects := build(t, componentAgent, componentNetworkPolicy)
	const anybody, labelled, closed = "anybody", "labelled namespaces", "closed"
	want := map[string]string{"pairing": anybody, "node": anybody, "metrics": labelled, "health": closed}
	for name, pod := range templates(objects) {
		open, denied := map[string]string{}, false
		for _, p := range objectsOfKind[*networkingv1.NetworkPolicy](objects) {
			if p.Namespace != pod.Namespace || !matches(t, p.Spec.PodSelector, pod) || p.Spec.PolicyTypes[0] != networkingv1.PolicyTypeIngress {
				continue
			}
			denied = denied || len(p.Spec.Ingress) == 0
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					open[port.Port.StrVal] = anybody
					if len(rule.From) == 1 && rule.From[0].NamespaceSelector.MatchLabels["mooring.dev/metrics"] == "allowed" {
						open[port.Port.StrVal] = labelled
					}
				}
			}
		}
		ports := pod.Spec.Containers[0].Ports
		if !denied && len(ports) > 0 {
			t.Errorf("%s: no policy denies the remaining ingress", name)
		}
		for _, port := range ports {
			got := open[port.Name]
			if got == "" {
				got = closed
			}
			if got != want[port.Name] {
				t.Errorf("%s: port %s is open to %q, want %q", name, port.Name, got, want[port.Name])
			}
		}
	}
}

// A monitor that selects nothing, or that names a missing port, fails silently.
func TestTheMonitorFindsTheMetricsOfBothRoles(t *testing.T) {
	objects := build(t, componentAgent, componentPrometheus)
	monitors := objectsOfKind[*monitoringv1.PodMonitor](objects)
	if len(monitors) != 1 {
		t.Fatalf("%d monitors", len(monitors))
	}
	m, found := monitors[0], 0
	for name, pod := range templates(objects) {
		if pod.Namespace != m.Namespace || !matches(t, m.Spec.Selector, pod) {
			continue
		}
		found++
		for _, endpoint := range m.Spec.PodMetricsEndpoints {
			has := false
			for _, port := range pod.Spec.Containers[0].Ports {
				has = has || endpoint.Port != nil && port.Name == *endpoint.Port
			}
			if !has {
				t.Errorf("%s has no port for %+v", name, endpoint)
			}
		}
		for _, label := range m.Spec.PodTargetLabels {
			if pod.Labels[label] == "" {
				t.Errorf("%s has no label %s", name, label)
			}
		}
	}
	if found != 2 {
		t.Errorf("the monitor finds %d of the two roles", found)
	}
}
