package controllers_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// agentsNamespace is the namespace of the pods of config/components/agent. It does not exist when
// the controller starts, which must not delay any other test of this package.
const agentsNamespace = "mooring-agents"

// applyComponent applies files of config/components/agent.
func applyComponent(t *testing.T, names ...string) {
	t.Helper()
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file := filepath.Join(root, "config", "components", "agent", name)
		kubectl := exec.CommandContext(t.Context(), shared.Binary("kubectl"), "--kubeconfig", shared.Kubeconfig(), "apply", "-f", file)
		if out, err := kubectl.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}

// touchTrust makes the controller reconcile its bundles now, without waiting for the next minute.
func touchTrust(t *testing.T) {
	t.Helper()
	touch := fmt.Sprintf(`{"metadata":{"annotations":{"touched":%q}}}`, rand.String(8))
	if err := shared.Client().Patch(t.Context(), trustMap(), client.RawPatch(types.MergePatchType, []byte(touch))); err != nil {
		t.Fatal(err)
	}
}

func waitForCopy(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	want := map[string]string{v1alpha1.TrustServerCAKey: get(t, trustMap()).Data[v1alpha1.TrustServerCAKey]}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: agentsNamespace, Name: v1alpha1.TrustConfigMap}}
	return waitForObject(t, "the CA of the gateways is there for agents in pods", config, func(config *corev1.ConfigMap) error {
		if diff := cmp.Diff(want, config.Data); diff != "" {
			return fmt.Errorf("the copy (-want +got):\n%s", diff)
		}
		return nil
	})
}

func TestAgentsInPodsGetTheCAOfTheGateways(t *testing.T) {
	trustBundle(t, v1alpha1.TrustServerCAKey)
	applyComponent(t, "namespaces.yaml", "trust.yaml")
	touchTrust(t)
	config := waitForCopy(t)

	config.Data = map[string]string{v1alpha1.TrustServerCAKey: "another CA"}
	if err := shared.Client().Update(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	touchTrust(t)
	waitForCopy(t)
	if err := shared.Client().Delete(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	touchTrust(t)
	waitForCopy(t)
}

// The controller can read nothing in that namespace, and change nothing else.
func TestTheRoleForTheCopyGivesNoMore(t *testing.T) {
	applyComponent(t, "namespaces.yaml", "trust.yaml")
	const account = v1alpha1.ControllerServiceAccount
	in := func(namespace string) []string {
		lines, err := shared.ListRights(t.Context(), account, namespace, account)
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	elsewhere := in(shared.Namespace(t))
	got := slices.DeleteFunc(in(agentsNamespace), func(line string) bool { return slices.Contains(elsewhere, line) })
	want := []string{account + ": /configmaps [mooring-trust]: patch", account + ": /configmaps: create"}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rights in the namespace of the agents (-want +got):\n%s", diff)
	}
}
