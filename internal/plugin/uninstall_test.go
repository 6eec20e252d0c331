package plugin

import (
	"context"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
		if got := isLeaseActive(tc.lease, now); got != tc.want {
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

// leaseStore returns a Lease; if renewed is set, every read returns a renewed one.
type leaseStore struct {
	client.WithWatch
	holder  string
	renewed bool
	reads   int
}

func (s *leaseStore) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	lease := o.(*coordinationv1.Lease)
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = &s.holder, ptr.To[int32](15)
	if s.renewed {
		s.reads++
	}
	lease.ResourceVersion = strconv.Itoa(s.reads)
	return nil
}

func TestFinalizersStayWhileAControllerRenewsItsLease(t *testing.T) {
	for name, test := range map[string]struct {
		store   leaseStore
		waits   time.Duration
		refused bool
	}{
		"no holder":                    {leaseStore{}, 0, false},
		"a holder that was killed":     {leaseStore{holder: "a"}, 15 * time.Second, false},
		"a holder that renews its own": {leaseStore{holder: "a", renewed: true}, leasePoll, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tool := &tool{IOStreams: genericiooptions.IOStreams{ErrOut: io.Discard}}
				began := time.Now()
				err := tool.awaitNoController(t.Context(), &fleet{WithWatch: &test.store})
				if refused := err != nil; refused != test.refused || time.Since(began) != test.waits {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
			})
		})
	}
}
