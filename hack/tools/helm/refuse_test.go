package chart

import (
	"errors"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/yaml"
)

// The chart rejects a mistake with the name of the value, before any object is created.
func TestTheSchemaRefusesWhatIsWrong(t *testing.T) {
	for values, says := range map[string]string{
		`{replicas: 3}`:                                              "replicas",
		`{controller: {replica: 3}}`:                                 "/controller",
		`{controller: {replicas: 0}}`:                                "/controller/replicas",
		`{controller: {replicas: "2"}}`:                              "/controller/replicas",
		`{gateway: {resources: {limits: {memory: 200M}}}}`:           "/gateway/resources/limits/memory",
		`{gateway: {resources: {limit: {memory: 200Mi}}}}`:           "/gateway/resources",
		`{gateway: {extraArgs: ["-v"]}}`:                             "/gateway/extraArgs/0",
		`{gateway: {logLevel: loud}}`:                                "/gateway/logLevel",
		`{gateway: {service: {type: ExternalName}}}`:                 "/gateway/service/type",
		`{gateway: {service: {nodePorts: {pairing: 70000}}}}`:        "/gateway/service/nodePorts/pairing",
		`{endpoints: {pairing: "gateway.example.com:99999"}}`:        "/endpoints/pairing",
		`{endpoints: {node: "a.example.com:7444,b.example.com:0"}}`:  "/endpoints/node",
		`{endpoints: {pairing: gateway.example.com}}`:                "/endpoints/pairing",
		`{endpoints: {pairing: "https://gateway.example.com:1"}}`:    "/endpoints/pairing",
		`{image: {tag: "a b"}}`:                                      "/image/tag",
		`{image: {digest: "0a"}}`:                                    "/image/digest",
		`{image: {pullPolicy: Sometimes}}`:                           "/image/pullPolicy",
		`{agent: {enabled: true, fleet: Robots}}`:                    "/agent/fleet",
		`{agent: {capabilities: ["*"]}}`:                             "/agent/capabilities/0",
		`{agent: {nodePrefix: K8S}}`:                                 "/agent/nodePrefix",
		`{serviceAccountRules: {a.b: {capabilities: [echo]}}}`:       "/serviceAccountRules/a.b",
		`{serviceAccountRules: {robot: {fleet: robots}}}`:            "robot",
		`{networkPolicy: {enabled: true, apiServerPorts: []}}`:       "/networkPolicy/apiServerPorts",
		`{networkPolicy: {enabled: true, apiServerPorts: ["6443"]}}`: "/networkPolicy/apiServerPorts/0",
		`{podMonitor: {interval: often}}`:                            "/podMonitor/interval",
		`{imagePullSecrets: [pull]}`:                                 "/imagePullSecrets/0",
	} {
		if _, err := tryRender(t, values, "mooring-system", nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error that names %s", values, err, says)
		}
	}
}

// Problems that the values alone do not show are rejected with the next step to take.
func TestTheChartRefusesWhatCouldNotWork(t *testing.T) {
	cluster := []string{"apiregistration.k8s.io/v1"}
	ready := append(cluster, "cert-manager.io/v1", "cert-manager.io/v1/Certificate")
	for _, c := range []struct {
		values, namespace string
		serves            []string
		says              string
	}{
		{"{}", "mooring-system", ready, ""},
		{"{}", "mooring-system", nil, ""}, // helm template
		{"{}", "mooring-system", cluster, "Install cert-manager first"},
		{"{}", "default", ready, "--namespace mooring-system"},
		{"{podMonitor: {enabled: true}}", "mooring-system", ready, "needs the Prometheus operator"},
		{"{podMonitor: {enabled: true}}", "mooring-system", append(ready, "monitoring.coreos.com/v1/PodMonitor"), ""},
		{"{agent: {enabled: true, fleet: mooring-agents}}", "mooring-system", ready, "cannot be a fleet"},
	} {
		_, err := tryRender(t, c.values, c.namespace, c.serves)
		if err == nil {
			err = errors.New("")
		}
		if !strings.Contains(err.Error(), c.says) || (c.says == "") != (err.Error() == "") {
			t.Errorf("in %s with %q: %v, want %q", c.namespace, c.serves, err, c.says)
		}
	}
}

func TestLintFindsNothing(t *testing.T) {
	for name, values := range valueSets {
		given := map[string]any{}
		if err := yaml.Unmarshal([]byte(values), &given); err != nil {
			t.Fatal(err)
		}
		for _, m := range lint.RunAll(chartDir, given, "mooring-system").Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}
