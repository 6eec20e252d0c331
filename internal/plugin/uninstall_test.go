package plugin

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestALeaseSaysWhetherAControllerRuns(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	lease := func(holder string, age time.Duration) *coordinationv1.Lease {
		renewed := metav1.NewMicroTime(now.Add(-age))
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &renewed, LeaseDurationSeconds: ptr.To[int32](15)}}
	}
	for name, tc := range map[string]struct {
		lease *coordinationv1.Lease
		want  bool
	}{
		"held":                {lease("a", time.Second), true},
		"given up":            {lease("", time.Second), false},
		"of a killed process": {lease("a", time.Minute), false},
		"never held":          {&coordinationv1.Lease{}, false},
	} {
		if got := leaseHeld(tc.lease, now); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOnlyObjectsWithAFinalizerOfMooringAreHeld(t *testing.T) {
	report := uninstallReport{}
	report.add("Node", &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "held", Finalizers: []string{"example.com/other", v1alpha1.FinalizerNode}}}, v1alpha1.FinalizerNode)
	report.add("Node", &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "free", Finalizers: []string{"example.com/other"}}}, v1alpha1.FinalizerNode)
	if len(report.Objects) != 1 || report.Objects[0].Name != "held" || len(report.Objects[0].Finalizers) != 1 {
		t.Errorf("%+v", report.Objects)
	}
}
