package plugin_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/cluster"
)

// TestAClusterOfItsOwn contains the cases that need a cluster of their own. They share one cluster,
// because each start is expensive.
func TestAClusterOfItsOwn(t *testing.T) {
	own, err := cluster.Start(t.Context(), controlplane.Options{Own: true})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	t.Run("without Mooring the error explains how to install it", func(t *testing.T) {
		for _, args := range [][]string{{"nodes"}, {"approve", "x", "--yes"}, {"invoke", "press-3", "echo"}, {"code"}} {
			startWith(t, own.Kubeconfig(), nil, args...).
				wantExit(1, "err:Mooring is not installed there", "err:kubectl apply --server-side -k config/default")
		}
	})
	if err := own.InstallAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("may be restarted during an invoke", func(t *testing.T) { testInvokeSurvivesRestart(t, own) })
}

func testInvokeSurvivesRestart(t *testing.T, own *cluster.Cluster) {
	p := startWith(t, own.Kubeconfig(), nil, "invoke", "press-3", "echo", "--allow-absent")
	p.waitForStderr("Made dispatch")
	var list v1alpha1.CapabilityDispatchList
	if err := own.Client().List(t.Context(), &list, client.InNamespace(metav1.NamespaceDefault)); err != nil || len(list.Items) != 1 {
		t.Fatalf("%d dispatches, error %v", len(list.Items), err)
	}
	if err := own.StopComponent(t.Context(), controlplane.APIServer); err != nil {
		t.Fatal(err)
	}
	p.waitForStderr("Lost the connection to the cluster")
	if err := own.StartComponent(t.Context(), controlplane.APIServer); err != nil {
		t.Fatal(err)
	}
	if err := own.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := &list.Items[0]
	d.Status = v1alpha1.CapabilityDispatchStatus{
		Phase: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished, Output: &v1alpha1.JSON{Raw: []byte(`"back"`)},
	}
	if err := own.Client().Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	p.wantExit(0, `"back"`)
}
