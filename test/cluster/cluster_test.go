package cluster_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/eventually"
)

var own *cluster.Cluster

func TestMain(m *testing.M) { cluster.Main(m, controlplane.Options{Own: true}, &own) }

// Tests wait for the policies and rely on this: `CheckPolicies` returns an error when a policy is
// missing or rejects nothing.
func TestAMissingPolicyIsNoticed(t *testing.T) {
	ctx := t.Context()
	objects, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		v1alpha1.PolicyDispatches, v1alpha1.PolicyPairingCodes, v1alpha1.PolicyPairingRequests, v1alpha1.PolicyNodes,
		v1alpha1.PolicyControllerSecrets, v1alpha1.PolicyGatewaySecrets, v1alpha1.PolicyGatewayLeases,
		"stamp-requested-by", "stamp-issued-by",
	} {
		binding := bindingOf(t, objects, name+".mooring.dev")
		if err := own.Client().Delete(ctx, binding); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "the policies do not work without the binding of "+name, func() bool { return own.CheckPolicies(ctx) != nil })
		if err := own.InstallPolicies(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func bindingOf(t *testing.T, objects []*unstructured.Unstructured, name string) *unstructured.Unstructured {
	t.Helper()
	for _, o := range objects {
		if strings.HasSuffix(o.GetKind(), "PolicyBinding") && o.GetName() == name {
			return o
		}
	}
	t.Fatalf("no binding %s is shipped", name)
	return nil
}

func TestComponentsStopStartAndCrash(t *testing.T) {
	ctx := t.Context()
	get := func() error {
		return own.Client().List(ctx, &v1alpha1.NodeList{})
	}
	if err := own.StopComponent(ctx, controlplane.APIServer); err != nil {
		t.Fatal(err)
	}
	if get() == nil {
		t.Error("a stopped apiserver answers")
	}
	if err := own.StartComponent(ctx, controlplane.APIServer); err != nil {
		t.Fatal(err)
	}
	for _, component := range []string{controlplane.APIServer, controlplane.Etcd} {
		if err := own.CrashComponent(ctx, component); err != nil {
			t.Fatal(err)
		}
		if err := own.WaitReady(ctx); err != nil {
			t.Fatalf("after a crash of %s: %v", component, err)
		}
		eventually.True(t, "the API is back after a crash of "+component, func() bool { return get() == nil })
	}
}

func TestServiceAccountsHaveRealTokens(t *testing.T) {
	config, err := own.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, v1alpha1.GatewayServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	c := own.ClientFor(t, config)
	if err := c.List(t.Context(), &v1alpha1.NodeList{}); err != nil {
		t.Errorf("a gateway may list Nodes: %v", err)
	}
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "n"}}
	if err := c.Create(t.Context(), node); err == nil {
		t.Error("a gateway made a Node")
	}
}
