//go:build e2e

package e2e

import (
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
)

const controllers = "app.kubernetes.io/component=controller"

// update plays an update that changes a policy: the live policies differ from those of the old
// controllers. A controller of the new Deployment must still become the leader. Then update follows
// docs/how-to/upgrade.md, and everything is ready again.
func (in *install) update() {
	in.kubectl("delete", "validatingadmissionpolicybinding", "nodes.mooring.dev")
	in.kubectl("-n", v1alpha1.SystemNamespace, "delete", "pod", "-l", controllers) // the next leader checks them at once
	in.eventually("the policies to be found changed", func() bool {
		return in.lease(v1alpha1.PolicyProofLease).Annotations[policy.AnnotationFailure] != ""
	})
	before := strings.Fields(in.kubectl("-n", v1alpha1.SystemNamespace, "get", "pods", "-l", controllers, "-o", "jsonpath={.items[*].metadata.name}"))
	in.kubectl("-n", v1alpha1.SystemNamespace, "rollout", "restart", "deployment/mooring-controller")
	leader := func() any {
		holder := in.lease(v1alpha1.LeaderLease).Spec.HolderIdentity
		if holder == nil {
			return ""
		}
		name, _, _ := strings.Cut(*holder, "_")
		return name
	}
	in.eventually("a new controller to lead", func() bool {
		name := leader().(string)
		return name != "" && !slices.Contains(before, name)
	}, leader)
	in.kubectl("-n", v1alpha1.SystemNamespace, "delete", "deployment", "mooring-controller", "--wait")
	in.kubectl("-n", v1alpha1.SystemNamespace, "wait", "--for=delete", "pod", "-l", controllers, "--timeout=2m")
	in.apply()
	in.kubectl("-n", v1alpha1.SystemNamespace, "rollout", "status", "deployment", "--timeout=3m")
}

func (in *install) lease(name string) *coordinationv1.Lease {
	in.Helper()
	lease := &coordinationv1.Lease{}
	if err := in.System.Client.Get(in.Context(), client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: name}, lease); err != nil {
		in.Fatal(err)
	}
	return lease
}
