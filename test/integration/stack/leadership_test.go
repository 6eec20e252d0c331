package stack_test

import (
	"context"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// keepRunning starts the processes again when they end, until the test ends or calls stop.
func (f *fleet) keepRunning() (stop func()) {
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); system.KeepRunning(ctx) }()
	stop = func() { cancel(); <-ended }
	f.Cleanup(stop)
	return stop
}

// deleteLease deletes the Lease of a controller that was killed, so that the next one does not wait
// until it expires.
func (f *fleet) deleteLease() {
	f.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.LeaderLease}}
	if err := system.Client.Delete(f.Context(), lease); client.IgnoreNotFound(err) != nil {
		f.Fatal(err)
	}
}

// "make up" restarts the processes as their Deployments do.
func TestAControllerThatLostItsLeadershipIsStartedAgain(t *testing.T) {
	f := newFleet(t)
	stop := f.keepRunning()
	lost := system.Controller
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.LeaderLease}}
	f.Eventually("another holder of the Lease", func() bool {
		thief := testfleet.Read(f, lease).DeepCopy()
		now, other := metav1.NowMicro(), "another-controller"
		thief.Spec.HolderIdentity, thief.Spec.RenewTime, thief.Spec.AcquireTime = &other, &now, &now
		return system.Client.Update(f.Context(), thief) == nil
	})
	if _, err := lost.Wait(f.BoundedContext()); err != nil {
		t.Fatal(err)
	}
	f.deleteLease()
	f.IssuePIN("kiosk") // waits until a controller has handled the code
	stop()
	if system.Controller == lost || !system.Controller.Running() {
		t.Error("the code was made and no other controller runs")
	}
}
