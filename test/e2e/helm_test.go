//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The test covers the whole life of an installation with the chart, as the chart's README describes
// it.
func TestHelm(t *testing.T) {
	in := newInstall(t, "cluster-nodes")
	before := in.objects()
	in.checkAnotherNamespaceRefused()
	out := in.runReadme("newcomer")
	for says, want := range map[string]bool{`"text": "hello"`: true, "Only pods reach that": true, "does not refuse pods": false} {
		if strings.Contains(out, says) != want {
			t.Errorf("it says %q: %v, want %v", says, !want, want)
		}
	}
	if !t.Run("Upgrade", func(t *testing.T) { in.inSubtest(t).upgrade() }) {
		return
	}
	in.runSteps(t)
	in.checkHelmTestFails()
	in.runReadme("uninstall")
	kept := slices.Concat(crds(), []string{
		"configmaps mooring-system/kube-root-ca.crt", "configmaps mooring-system/mooring-policy-proof", "configmaps mooring-system/mooring-trust", "namespaces /mooring-system",
		"secrets mooring-system/mooring-device-ca", "secrets mooring-system/mooring-gateway-tls", "secrets mooring-system/mooring-server-ca",
		"serviceaccounts mooring-system/default", "apiservices.apiregistration.k8s.io /v1alpha1." + v1alpha1.GroupName, // for the CRDs
	})
	slices.Sort(kept)
	in.checkLeftBehind(before, kept)
	for _, rest := range in.removalCommands() {
		in.runShell(rest)
	}
	in.checkLeftBehind(before, nil)
	in.removeIdentities()
}

func crds() (names []string) {
	for _, plural := range []string{"nodes", "pairingcodes", "pairingrequests", "capabilitydispatches"} {
		names = append(names, "customresourcedefinitions.apiextensions.k8s.io /"+plural+"."+v1alpha1.GroupName)
	}
	return names
}

// runShell runs lines as an administrator types them in the root of the repository, up to the first
// failure, and returns their output.
func (in *install) runShell(lines string) string {
	in.Helper()
	out, err := in.tryShell(lines)
	if err != nil {
		in.Fatalf("%v\n%s\n%s", err, lines, out)
	}
	return out
}

func (in *install) tryShell(lines string) (string, error) {
	in.Helper()
	cmd := exec.CommandContext(in.longContext(), "sh", "-euc", lines)
	cmd.Dir = in.System.Root
	cmd.Env = []string{"KUBECONFIG=" + in.System.Cluster.Kubeconfig(), "HOME=" + sharedWorker.dir,
		"PATH=" + filepath.Join(in.System.Root, ".local", "bin") + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// runReadme runs the lines that the chart's README has under a mark. It changes only the registry and
// the tag, to those of the imported images.
func (in *install) runReadme(mark string) string {
	in.Helper()
	block := regexp.MustCompile("(?s)<!-- " + mark + " -->\n```sh\n(.*?)```").FindStringSubmatch(in.readmeText())
	if block == nil {
		in.Fatalf("the README of the chart has no lines under %q", mark)
	}
	lines := strings.NewReplacer("registry.example.com/", "", "=v1", "=e2e").Replace(block[1])
	out := in.runShell(lines)
	in.Logf("%s\n%s", lines, out)
	return out
}

func (in *install) readmeText() string {
	in.Helper()
	text, err := os.ReadFile(filepath.Join(in.System.Root, "charts", "mooring", "README.md"))
	if err != nil {
		in.Fatal(err)
	}
	return string(text)
}

// removalCommands returns the commands of the README that delete the objects which the uninstallation
// keeps.
func (in *install) removalCommands() (all []string) {
	in.Helper()
	for _, found := range regexp.MustCompile("\\| `(kubectl delete [^`]*)` \\|").FindAllStringSubmatch(in.readmeText(), -1) {
		all = append(all, found[1])
	}
	if len(all) != 2 {
		in.Fatalf("the README removes %q", all)
	}
	return all
}

func (in *install) checkAnotherNamespaceRefused() {
	in.Helper()
	out, err := in.tryShell("helm install mooring charts/mooring --namespace default")
	if err == nil || !strings.Contains(out, "--namespace mooring-system") {
		in.Errorf("install in another namespace: %v\n%s", err, out)
	}
}

// checkHelmTestFails removes the gateways: a helm test that then passes would test nothing.
func (in *install) checkHelmTestFails() {
	in.Helper()
	in.kubectl("-n", "mooring-system", "scale", "deployment/mooring-gateway", "--replicas=0")
	in.eventually("no gateway to run", func() bool { return in.countPods("app.kubernetes.io/component=gateway") == 0 })
	if out, err := in.tryShell("helm test mooring --namespace mooring-system"); err == nil {
		in.Errorf("helm test finds nothing wrong without a gateway:\n%s", out)
	}
	out := in.kubectl("-n", "mooring-system", "logs", "mooring-test-gateway", "-c", "pairing", "--insecure-skip-tls-verify-backend")
	if !strings.Contains(out, "ask whether the gateway runs") {
		in.Errorf("the log of the failed test:\n%s", out)
	}
	in.kubectl("-n", "mooring-system", "delete", "pod", "mooring-test-gateway")
}

// upgrade changes values while dispatches run on a machine. The changed values have an effect, and
// all others are kept.
func (in *install) upgrade() {
	in.runUnderTraffic(func() {
		in.runShell(`helm upgrade mooring charts/mooring --namespace mooring-system --reset-then-reuse-values --wait \
			--set gateway.replicas=3,gateway.resources.limits.memory=256Mi,controller.logLevel=debug \
			--set endpoints.pairing=10.250.0.1:30443,endpoints.node=10.250.0.1:30444 \
			--set gateway.service.type=NodePort,gateway.service.nodePorts.pairing=30443,gateway.service.nodePorts.node=30444`)
	})
	in.runShell("helm test mooring --namespace mooring-system")
	var pods corev1.PodList
	if err := in.System.Client.List(in.Context(), &pods, client.InNamespace(v1alpha1.SystemNamespace),
		client.MatchingLabels{"app.kubernetes.io/component": "gateway"}); err != nil || len(pods.Items) != 3 {
		in.Fatalf("%d gateways, %v", len(pods.Items), err)
	}
	for _, p := range pods.Items {
		c := p.Spec.Containers[0]
		if c.Image != "mooring-manager:e2e" || c.Resources.Limits.Memory().String() != "256Mi" ||
			!slices.Contains(c.Env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: "230MiB"}) {
			in.Errorf("%s: image %s, %v, %v", p.Name, c.Image, c.Resources, c.Env)
		}
	}
}
