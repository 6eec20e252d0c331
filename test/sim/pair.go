package sim

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// pairWorkers stay below the number of undecided requests that a cluster takes.
const pairWorkers = 16

// Pair adds count agents that pair as any machine does: a code, the exchange, a decision, a
// certificate. Each runs from then on. then is that of Issue.
func (f *Fleet) Pair(ctx context.Context, count int, then func(*Agent) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pairWorkers)
	for range count {
		a, err := f.newAgent()
		if err != nil {
			return err
		}
		group.Go(func() error {
			if err := f.pair(ctx, a); err != nil {
				return fmt.Errorf("pair %s: %w", a.Name, err)
			}
			if then != nil {
				return then(a)
			}
			return nil
		})
	}
	return group.Wait()
}

func (f *Fleet) pair(ctx context.Context, a *Agent) error {
	code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: a.Name},
		Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: a.Name}}
	if err := f.Client.Create(ctx, code); err != nil {
		return err
	}
	secret := &corev1.Secret{}
	err := f.poll(ctx, func(ctx context.Context) bool {
		return f.Client.Get(ctx, client.ObjectKeyFromObject(code), code) == nil && code.Status.SecretName != "" &&
			f.Client.Get(ctx, types.NamespacedName{Namespace: f.Namespace, Name: code.Status.SecretName}, secret) == nil
	})
	if err != nil {
		return fmt.Errorf("wait for the code: %w", err)
	}
	typed, err := pairing.ParseCode(string(secret.Data[v1alpha1.SecretKeyCode]))
	if err != nil {
		return err
	}
	a.options.Pairing, a.options.Code = f.PairingEndpoint, &typed
	a.start(f.run)
	if err := f.approve(ctx, code.Name); err != nil {
		return err
	}
	return f.poll(ctx, func(context.Context) bool { return a.Online() })
}

// approve decides about the request that a code leads to.
func (f *Fleet) approve(ctx context.Context, code string) error {
	var request *v1alpha1.PairingRequest
	err := f.poll(ctx, func(ctx context.Context) bool {
		var list v1alpha1.PairingRequestList
		if f.Client.List(ctx, &list, client.InNamespace(f.Namespace)) != nil {
			return false
		}
		for i := range list.Items {
			if list.Items[i].Spec.CodeName == code && list.Items[i].Status.Phase == v1alpha1.PairingRequestPending {
				request = &list.Items[i]
			}
		}
		return request != nil
	})
	if err != nil {
		return fmt.Errorf("wait for the request: %w", err)
	}
	return f.Client.Patch(ctx, request, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"decision":{"verdict":"Approved"}}}`)))
}

func (f *Fleet) poll(ctx context.Context, done func(context.Context) bool) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		return done(ctx), nil
	})
}
