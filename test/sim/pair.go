package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/pairing"
)

const (
	// pairWorkers stays below the number of undecided requests that a cluster accepts.
	pairWorkers = 16
	// pairTimeout bounds one pairing.
	pairTimeout = time.Minute
)

// Pair adds count agents that pair as any machine does: with a code, the exchange, a decision and a
// certificate. Each agent keeps running. Pair calls the function as Issue does.
func (f *Fleet) Pair(ctx context.Context, count int, onPaired func(*Agent) error) error {
	approver, err := f.newApprover(ctx)
	if err != nil {
		return err
	}
	defer approver.close()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pairWorkers)
	for range count {
		a, err := f.newAgent()
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, pairTimeout)
			defer cancel()
			if err := f.pair(ctx, approver, a); err != nil {
				return fmt.Errorf("pair %s: %w", a.Name, errors.Join(err, approver.approvalErr()))
			}
			if onPaired != nil {
				return onPaired(a)
			}
			return nil
		})
	}
	return group.Wait()
}

func (f *Fleet) pair(ctx context.Context, u *approver, a *Agent) error {
	ready := u.expectCode(a.Name)
	code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: a.Name},
		Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: a.Name}}
	if err := f.Client.Create(ctx, code); err != nil {
		return err
	}
	var name string
	select {
	case name = <-ready:
	case <-ctx.Done():
		return fmt.Errorf("wait for the code: %w", ctx.Err())
	}
	secret := &corev1.Secret{}
	if err := f.Client.Get(ctx, types.NamespacedName{Namespace: f.Namespace, Name: name}, secret); err != nil {
		return err
	}
	typed, err := pairing.ParseCode(string(secret.Data[v1alpha1.SecretKeyCode]))
	if err != nil {
		return err
	}
	a.options.Pairing, a.options.Code = f.PairingEndpoint, &typed
	a.start(f.agentCtx)
	err = wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(context.Context) (bool, error) { return a.Online(), nil })
	if err != nil {
		return fmt.Errorf("wait for the first session: %w", err)
	}
	return nil
}

func (f *Fleet) poll(ctx context.Context, done func(context.Context) bool) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return done(ctx), nil
	})
}
