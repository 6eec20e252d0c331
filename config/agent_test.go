package config_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/serviceaccount"
)

func buildAgent(t *testing.T) (*appsv1.DaemonSet, []runtime.Object) {
	t.Helper()
	objects := build(t, componentAgent)
	sets := objectsOfKind[*appsv1.DaemonSet](objects)
	if len(sets) != 1 {
		t.Fatalf("%d DaemonSets", len(sets))
	}
	return sets[0], objects
}

// shippedRules implements client.Reader for the objects of the component.
type shippedRules struct {
	client.Reader
	objects []runtime.Object
}

func (r shippedRules) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	for _, m := range objectsOfKind[*corev1.ConfigMap](r.objects) {
		if client.ObjectKeyFromObject(m) == key {
			m.DeepCopyInto(into.(*corev1.ConfigMap))
		}
	}
	return nil
}

// The test parses the rule with the same code as gateways and controllers.
func TestTheRuleAdmitsTheAgentsIntoAFleetThatExists(t *testing.T) {
	d, objects := buildAgent(t)
	holder := serviceaccount.Holder{Namespace: d.Namespace, Name: d.Spec.Template.Spec.ServiceAccountName, Node: "worker.test"}
	rule, err := serviceaccount.RuleFor(t.Context(), shippedRules{objects: objects}, v1alpha1.SystemNamespace, holder)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(objectsOfKind[*corev1.Namespace](objects), func(n *corev1.Namespace) bool { return n.Name == rule.Fleet }) {
		t.Errorf("fleet %s is no namespace of the component", rule.Fleet)
	}
	if !slices.ContainsFunc(objectsOfKind[*corev1.ServiceAccount](objects), func(a *corev1.ServiceAccount) bool {
		return a.Namespace == holder.Namespace && a.Name == holder.Name && !*a.AutomountServiceAccountToken
	}) {
		t.Errorf("no ServiceAccount %s without a token for the API server", holder)
	}
	if name, err := rule.NodeName(holder.Node); err != nil || name == "worker-test" {
		t.Errorf("the Node of core Node %s is called %q: %v", holder.Node, name, err)
	}
}

// The mounts must match the arguments, the objects of the controller, and the checks of the
// gateways.
func TestTheAgentFindsItsTokenItsTrustAndItsIdentity(t *testing.T) {
	d, objects := buildAgent(t)
	pod := d.Spec.Template.Spec
	args, mounts := map[string]string{}, map[string]string{}
	for _, a := range pod.Containers[0].Args[1:] {
		name, value, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		args[name] = value
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	sources := pod.Volumes[0].Projected.Sources
	token, trust := sources[0].ServiceAccountToken, sources[1].ConfigMap
	at := mounts[pod.Volumes[0].Name] + "/"
	if token.Audience != serviceaccount.DefaultAudience || at+token.Path != args["service-account-token-file"] {
		t.Errorf("the token %+v is not %s", token, args["service-account-token-file"])
	}
	if trust.Name != v1alpha1.TrustConfigMap || trust.Items[0].Key != v1alpha1.TrustServerCAKey || at+trust.Items[0].Path != args["gateway-ca"] {
		t.Errorf("the CA %+v is not %s", trust, args["gateway-ca"])
	}
	if v := pod.Volumes[1]; v.HostPath == nil || !strings.HasPrefix(args["identity-dir"], mounts[v.Name]+"/") {
		t.Errorf("the identity %s is not kept on the host", args["identity-dir"])
	}
	if probe := pod.Containers[0].ReadinessProbe.Exec.Command; probe[len(probe)-1] != "--identity-dir="+args["identity-dir"] {
		t.Errorf("%v probes another agent", probe)
	}
	for _, s := range objectsOfKind[*corev1.Service](objects) {
		if host := s.Name + "." + s.Namespace + ".svc:7443"; args["pairing"] != host {
			t.Errorf("it pairs at %s, the Service is %s", args["pairing"], host)
		}
	}
	flags := runFlags(t)
	for name := range args {
		if !flags[name] {
			t.Errorf("mooring-agent run has no flag --%s", name)
		}
	}
}

// runFlags returns the flags that the reference lists for mooring-agent run.
func runFlags(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile("../docs/reference/mooring-agent.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## mooring-agent run\n")
	section, _, _ = strings.Cut(section, "\n## ")
	flags := map[string]bool{}
	for _, f := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+) `).FindAllStringSubmatch(section, -1) {
		flags[f[1]] = true
	}
	if !flags["pairing"] || flags["wait"] {
		t.Fatalf("cannot parse the reference: %v", flags)
	}
	return flags
}

// Every core Node needs an agent and the CA, which needs both a flag and a right.
func TestAgentsAreEverywhereAndTheControllerMaySupplyThem(t *testing.T) {
	d, objects := buildAgent(t)
	pod := d.Spec.Template.Spec
	if all := pod.Tolerations; len(all) != 1 || all[0].Operator != corev1.TolerationOpExists || all[0].Key != "" || all[0].Effect != "" {
		t.Errorf("the agents do not tolerate every taint: %+v", all)
	}
	if classes := objectsOfKind[*schedulingv1.PriorityClass](objects); len(classes) != 1 || classes[0].Name != pod.PriorityClassName {
		t.Errorf("no PriorityClass %s", pod.PriorityClassName)
	}
	if surge := d.Spec.UpdateStrategy.RollingUpdate.MaxSurge; surge != nil && surge.String() != "0" {
		t.Errorf("two agents of one identity at a time: maxSurge %s", surge)
	}
	for _, c := range objectsOfKind[*appsv1.Deployment](objects) {
		if got := slices.Contains(c.Spec.Template.Spec.Containers[0].Args, "--trust-namespaces="+d.Namespace); got != (c.Name == "mooring-controller") {
			t.Errorf("%s publishes the CA in %s: %v", c.Name, d.Namespace, got)
		}
	}
	for _, b := range objectsOfKind[*rbacv1.RoleBinding](objects) {
		if s := b.Subjects[0]; b.Namespace == d.Namespace && (s.Namespace != v1alpha1.SystemNamespace || s.Name != v1alpha1.ControllerServiceAccount) {
			t.Errorf("%s gives rights to %s/%s", b.Name, s.Namespace, s.Name)
		}
	}
}
