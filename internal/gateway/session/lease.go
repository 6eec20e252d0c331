package session

import (
	"context"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// LeaseName returns the name of the Lease of a gateway process. gateway is the name of the
// process in status.gateway of its Nodes and the holderIdentity of the Lease.
func LeaseName(gateway string) string { return v1alpha1.GatewayLeasePrefix + gateway }

// lease renews the Lease of this process. While the Lease is renewed, the leader does not end the
// sessions of this process.
type lease struct {
	service *Service

	mu      sync.Mutex
	object  *coordinationv1.Lease
	renewed time.Time // local clock: the last successful renewal was sent then
}

// check returns an error if the Lease may have expired: other processes may then treat the
// sessions of this process as ended.
func (l *lease) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.object == nil {
		return fmt.Errorf("the Lease %s is not created yet", LeaseName(l.service.Gateway))
	}
	if age := l.service.Clock.Since(l.renewed); age > l.service.LeaseDuration {
		return fmt.Errorf("the Lease %s could not be renewed for %s", l.object.Name, age.Round(time.Second))
	}
	return nil
}

// run creates the Lease and renews it until ctx ends. Then it deletes the Lease, so that the
// leader does not wait for its expiry.
func (l *lease) run(ctx context.Context) {
	ticker := l.service.Clock.NewTicker(l.service.LeaseDuration / 3)
	defer ticker.Stop()
	for {
		if err := l.renew(ctx); err != nil && ctx.Err() == nil {
			l.service.Log.Error(err, "cannot renew the Lease of this gateway")
		}
		select {
		case <-ctx.Done():
			l.release(context.WithoutCancel(ctx))
			return
		case <-ticker.C():
		}
	}
}

func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.service.LeaseDuration/3)
	defer cancel()
	sent := l.service.Clock.Now()
	object, err := l.put(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			l.object = nil // Another writer changed it: create or read it at the next tick.
		}
		return fmt.Errorf("renew Lease %s/%s: %w", l.service.SystemNamespace, LeaseName(l.service.Gateway), err)
	}
	l.object, l.renewed = object, sent
	return nil
}

func (l *lease) put(ctx context.Context) (*coordinationv1.Lease, error) {
	l.mu.Lock()
	known := l.object
	l.mu.Unlock()
	now := metav1.NewMicroTime(l.service.Time.Now())
	if known != nil {
		object := known.DeepCopy()
		object.Spec.RenewTime = &now
		return object, l.service.Client.Update(ctx, object)
	}
	seconds := int32(l.service.LeaseDuration / time.Second)
	object := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: l.service.SystemNamespace, Name: LeaseName(l.service.Gateway),
			Labels: map[string]string{v1alpha1.LabelComponent: v1alpha1.LabelComponentGateway},
		},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &l.service.Gateway, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now,
		},
	}
	err := l.service.Client.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		// The response to an earlier Create was lost: the name is random for each process.
		if err := l.service.Reader.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return nil, err
		}
		object.Spec.RenewTime = &now
		return object, l.service.Client.Update(ctx, object)
	}
	return object, err
}

func (l *lease) release(ctx context.Context) {
	l.mu.Lock()
	object := l.object
	l.object = nil
	l.mu.Unlock()
	if object == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := l.service.Client.Delete(ctx, object); err != nil && !apierrors.IsNotFound(err) {
		l.service.Log.Info("cannot delete the Lease of this gateway; it will expire", "error", err.Error())
	}
}
