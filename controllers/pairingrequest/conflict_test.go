package pairingrequest

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Pairing waits only for a Node that will be deleted without a person; a person decides about all
// others.
func TestOnlyANodeThatLeavesIsWaitedFor(t *testing.T) {
	now := metav1.Now()
	request := &v1alpha1.PairingRequest{Spec: v1alpha1.PairingRequestSpec{
		ServiceAccount: &v1alpha1.ServiceAccountIdentity{Namespace: "machines", Name: "agent", Node: "worker", NodeUID: "new"}}}
	for name, test := range map[string]struct {
		change func(*v1alpha1.Node)
		want   bool
	}{
		"of the former core Node":              {func(*v1alpha1.Node) {}, true},
		"the same, revoked":                    {func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeRevoked }, false},
		"the same, suspended: it stays, too":   {func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeSuspended }, false},
		"of the core Node that is there":       {func(n *v1alpha1.Node) { n.Spec.ServiceAccount.NodeUID = "new" }, false},
		"the same, being deleted":              {func(n *v1alpha1.Node) { n.Spec.ServiceAccount.NodeUID, n.DeletionTimestamp = "new", &now }, true},
		"of another account on that core Node": {func(n *v1alpha1.Node) { n.Spec.ServiceAccount.Name = "other" }, false},
		"of another core Node":                 {func(n *v1alpha1.Node) { n.Spec.ServiceAccount.Node = "other" }, false},
		"of a machine that paired with a code": {func(n *v1alpha1.Node) { n.Spec.ServiceAccount = nil }, false},
		"of an account of the name elsewhere":  {func(n *v1alpha1.Node) { n.Spec.ServiceAccount.Namespace = "other" }, false},
	} {
		node := &v1alpha1.Node{Spec: v1alpha1.NodeSpec{DesiredState: v1alpha1.NodeActive,
			ServiceAccount: &v1alpha1.ServiceAccountIdentity{Namespace: "machines", Name: "agent", Node: "worker", NodeUID: "old"}}}
		test.change(node)
		if got := terminating(node, request); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
