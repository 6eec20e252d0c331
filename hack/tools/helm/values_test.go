package chart

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// valueSets sets every value to something other than its default, and some to nothing.
var valueSets = map[string]string{
	"defaults": `{}`,
	"images": `{image: {repository: registry.example.com:5000/mooring/manager, digest: "sha256:` + strings.Repeat("0a", 32) + `", pullPolicy: Always},
		imagePullSecrets: [{name: pull}], agentImage: {repository: registry.example.com/agent, tag: v1, pullPolicy: Never}}`,
	"endpoints": `{endpoints: {pairing: "gateway.example.com:443", node: "a.example.com:7444,[2001:db8::1]:7444"}}`,
	"pods": `{controller: &all {replicas: 3, resources: {requests: {cpu: 1, memory: 1Gi, ephemeral-storage: 1Mi}, limits: {cpu: "2", memory: 2Gi}}, logLevel: debug,
		extraArgs: ["--stale-after=10m"], podDisruptionBudget: {enabled: false}, podLabels: {team: robots}, podAnnotations: {note: "a: {b}"},
		nodeSelector: {disk: fast}, tolerations: [{key: a, operator: Exists}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution:
		{nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}, priorityClassName: system-cluster-critical,
		topologySpreadConstraints: [{topologyKey: zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]}, gateway: *all}`,
	"no limits": `{controller: {resources: {limits: null}}, gateway: {resources: {limits: {memory: null}}}}`,
	"service": `{gateway: {service: {type: LoadBalancer, annotations: {a: "true"}, externalTrafficPolicy: Local, loadBalancerClass: example.com/lb,
		loadBalancerSourceRanges: [192.0.2.0/24], nodePorts: {pairing: 30443, node: 30444}}}}`,
	"agents": `{agent: {enabled: true, namespace: edge, fleet: robots, createNamespaces: false, capabilities: [], nodePrefix: "", pairing: "10.0.0.1:7443",
		hostPath: /opt/mooring, resources: {limits: {memory: 1Gi}}, logLevel: debug, extraArgs: ["--transport=poll"], podLabels: {team: robots},
		podAnnotations: {a: b}, nodeSelector: {edge: "true"}, tolerations: [], affinity: {nodeAffinity: {}}, priorityClassName: system-node-critical},
		serviceAccountRules: {pods.robot: {fleet: robots, nodePrefix: pod-, capabilities: [echo, "system.*"]}, pods.other: {fleet: others}}}`,
	"around": `{podMonitor: {enabled: true, interval: 1m, labels: {release: prometheus}},
		networkPolicy: {enabled: true, apiServerPorts: [8443], metricsFrom: {kubernetes.io/metadata.name: monitoring}}}`,
}

// A cluster accepts the rendered objects for all values.
func TestEveryValueMakesObjectsThatDecode(t *testing.T) {
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(types); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()
	for name, values := range valueSets {
		t.Run(name, func(t *testing.T) {
			for key, o := range render(t, values).objects {
				text, err := yaml.Marshal(o.Object)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := decoder.Decode(text, nil, nil); err != nil && !isForeignKind(o.GetAPIVersion()) {
					t.Errorf("%s: %v\n%s", key, err, text)
				}
			}
		})
	}
}

// isForeignKind reports whether a kind belongs to another project, whose types are not registered here.
func isForeignKind(apiVersion string) bool {
	return strings.HasPrefix(apiVersion, "cert-manager.io/") || strings.HasPrefix(apiVersion, "monitoring.coreos.com/")
}

// Each value has its effect at the place that its name describes.
func TestValuesGoWhereTheyBelong(t *testing.T) {
	pods := render(t, valueSets["pods"])
	for _, name := range []string{"mooring-controller", "mooring-gateway"} {
		d := deployment(t, pods, name)
		spec, container := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
		if *d.Spec.Replicas != 3 || spec.PriorityClassName != "system-cluster-critical" || spec.NodeSelector["disk"] != "fast" ||
			len(spec.TopologySpreadConstraints) != 1 || spec.TopologySpreadConstraints[0].TopologyKey != "zone" ||
			d.Spec.Template.Labels["team"] != "robots" || d.Spec.Template.Annotations["note"] != "a: {b}" {
			t.Errorf("%s: %+v", name, d.Spec)
		}
		last := container.Args[len(container.Args)-2:]
		if last[0] != "--log-level=debug" || last[1] != "--stale-after=10m" {
			t.Errorf("%s: arguments %q", name, container.Args)
		}
		if got := envValue(container, "GOMEMLIMIT"); got != "1843MiB" {
			t.Errorf("%s: GOMEMLIMIT %q of 2Gi", name, got)
		}
		if pods.objects["PodDisruptionBudget mooring-system/"+name] != nil {
			t.Errorf("%s has a budget that was switched off", name)
		}
	}
	if got := envValue(deployment(t, render(t, valueSets["no limits"]), "mooring-gateway").Spec.Template.Spec.Containers[0], "GOMEMLIMIT"); got != "" {
		t.Errorf("GOMEMLIMIT %q without a limit", got)
	}
	container := deployment(t, render(t, valueSets["images"]), "mooring-gateway").Spec.Template.Spec.Containers[0]
	if want := "registry.example.com:5000/mooring/manager@sha256:" + strings.Repeat("0a", 32); container.Image != want || container.ImagePullPolicy != corev1.PullAlways {
		t.Errorf("image %s, pulled %s", container.Image, container.ImagePullPolicy)
	}
	before, after := deployment(t, render(t, "{}"), "mooring-gateway"), deployment(t, render(t, valueSets["endpoints"]), "mooring-gateway")
	if b, a := before.Spec.Template.Annotations["checksum/endpoints"], after.Spec.Template.Annotations["checksum/endpoints"]; b == "" || a == b {
		t.Error("pods keep running when the endpoints change")
	}
}

// Rules are texts in a ConfigMap, which no schema of the API server checks.
func TestRulesSayWhoIsLetIn(t *testing.T) {
	agents := render(t, valueSets["agents"])
	data, _, err := unstructured.NestedStringMap(agents.objects["ConfigMap mooring-system/mooring-serviceaccounts"].Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"edge.mooring-agent": "fleet: robots\n",
		"pods.robot":         "fleet: robots\nnodePrefix: pod-\ncapabilities: [echo, system.*]\n",
		"pods.other":         "fleet: others\n",
	}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if o := agents.objects["Namespace /robots"]; o != nil {
		t.Error("the chart creates a namespace that exists")
	}
	if o := render(t, "{}").objects["ConfigMap mooring-system/mooring-serviceaccounts"]; o != nil {
		t.Error("without rules the chart takes over a ConfigMap that an administrator manages")
	}
}

func deployment(t *testing.T, from rendered, name string) *appsv1.Deployment {
	t.Helper()
	d := &appsv1.Deployment{}
	o := from.objects["Deployment mooring-system/"+name]
	if o == nil {
		t.Fatalf("no Deployment %s", name)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func envValue(c corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}
