package threats_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/cluster"
)

// createTenant returns a client for a user who may dispatch echo in the fleet and has no other rights.
func (f *fleet) createTenant(user string) client.Client {
	f.Helper()
	meta := metav1.ObjectMeta{Namespace: f.Namespace, Name: user}
	for _, object := range []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"mooring.dev"}, Resources: []string{"capabilities"}, ResourceNames: []string{"echo"}, Verbs: []string{v1alpha1.VerbInvoke}},
			{APIGroups: []string{"mooring.dev"}, Resources: []string{"capabilitydispatches"}, Verbs: []string{"create", "get", "list", "delete"}},
		}},
		&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}},
	} {
		if err := system.Client.Create(f.Context(), object); err != nil {
			f.Fatal(err)
		}
	}
	c := cluster.Of(system.Cluster).ClientFor(f, system.Cluster.UserConfig(user))
	f.Eventually(user+" to be admitted", func() bool {
		return c.Create(f.Context(), f.dispatch("probe", "kiosk", "echo"), client.DryRunAll) == nil
	})
	return c
}

func (f *fleet) dispatch(name, node, capability string) *v1alpha1.CapabilityDispatch {
	return &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name},
		Spec: v1alpha1.CapabilityDispatchSpec{NodeName: node, Capability: capability}}
}

// A tenant with the right to dispatch cannot fill the cluster: a ResourceQuota of the namespace
// counts dispatches like any other object.
func TestAQuotaBoundsTheDispatchesOfATenant(t *testing.T) {
	f := newFleet(t)
	c := f.createTenant("tess")
	const counted = corev1.ResourceName("count/capabilitydispatches.mooring.dev")
	f.setQuota(corev1.ResourceList{counted: resource.MustParse("3")})
	for _, name := range []string{"one", "two", "three"} {
		if err := c.Create(t.Context(), f.dispatch(name, "kiosk", "echo")); err != nil {
			t.Fatalf("dispatch %s: %v", name, err)
		}
	}
	err := c.Create(t.Context(), f.dispatch("four", "kiosk", "echo"))
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: dispatches") {
		t.Errorf("the fourth: %v, want the quota to forbid it", err)
	}
}

// setQuota sets the quota of the namespace. kube-controller-manager discovers new kinds every half
// minute. It reconciles a quota for a kind that was unknown only minutes later, or when the quota
// is created again.
func (f *fleet) setQuota(hard corev1.ResourceList) {
	f.Helper()
	var quota *corev1.ResourceQuota
	var createdTime time.Time
	f.Eventually("the quota to count", func() bool {
		if time.Since(createdTime) > 3*time.Second {
			if quota != nil {
				_ = system.Client.Delete(f.Context(), quota)
			}
			quota = &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "dispatches"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}}
			if err := system.Client.Create(f.Context(), quota); err != nil {
				f.Fatal(err)
			}
			createdTime = time.Now()
		}
		return system.Client.Get(f.Context(), client.ObjectKeyFromObject(quota), quota) == nil && len(quota.Status.Used) == len(hard)
	})
}

// The same name in another namespace is another machine, or none.
func TestADispatchReachesNoMachineOfAnotherNamespace(t *testing.T) {
	f, g := newFleet(t), newFleet(t)
	f.Pair("kiosk")
	c := g.createTenant("tom")
	stray := g.dispatch("stray", "kiosk", "echo")
	stray.Spec.ExpirySeconds = 3
	if err := c.Create(t.Context(), stray); err != nil {
		t.Fatal(err)
	}
	into := f.dispatch("into", "kiosk", "echo")
	if err := c.Create(t.Context(), into); !apierrors.IsForbidden(err) {
		t.Errorf("in the namespace of the machine: %v, want it forbidden", err)
	}
	other := g.dispatch("other", "kiosk", "system.health")
	want := v1alpha1.PolicyMessage(v1alpha1.PolicyDispatches) + `user "tom" may not invoke capability "system.health" in namespace "` + g.Namespace + `"`
	if err := c.Create(t.Context(), other); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("another capability: %v, want %q", err, want)
	}
	f.CheckEcho("kiosk") // the machine is there and receives its own dispatches
	end := g.AwaitEnded(stray).Status
	if end.Phase != v1alpha1.DispatchTimedOut || end.Execution != v1alpha1.ExecutionNotStarted || end.Gateway != "" {
		t.Errorf("the dispatch of the other namespace ended %+v, want TimedOut, NotStarted, never seen by a gateway", end)
	}
}
