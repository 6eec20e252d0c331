package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// approval is the decision of a person who approves every expected machine.
var approval = client.RawPatch(types.MergePatchType, []byte(`{"spec":{"decision":{"verdict":"Approved"}}}`))

// approver plays the person at the cluster. It sees when codes are ready and approves the requests
// that they lead to, with two watches for any number of machines.
type approver struct {
	fleet  *Fleet
	cancel context.CancelFunc
	group  *errgroup.Group

	mu       sync.Mutex
	ready    map[string]chan string // by name of the code: receives the name of its Secret, once
	approved map[types.UID]bool
	errs     error
}

func (f *Fleet) newApprover(ctx context.Context) (*approver, error) {
	ctx, cancel := context.WithCancel(ctx)
	u := &approver{fleet: f, cancel: cancel, ready: map[string]chan string{}, approved: map[types.UID]bool{}}
	u.group, ctx = errgroup.WithContext(ctx)
	codes, requests := make(chan struct{}), make(chan struct{})
	in := client.InNamespace(f.Namespace)
	u.group.Go(func() error { return ListAndWatch(ctx, f.Client, &v1alpha1.PairingCodeList{}, u.handleCode, codes, in) })
	u.group.Go(func() error {
		return ListAndWatch(ctx, f.Client, &v1alpha1.PairingRequestList{}, func(r *v1alpha1.PairingRequest) { u.handleRequest(ctx, r) }, requests, in)
	})
	for _, watching := range []chan struct{}{codes, requests} {
		select {
		case <-watching:
		case <-ctx.Done():
			return nil, errors.Join(u.close(), ctx.Err())
		}
	}
	return u, nil
}

// expectCode returns a channel that receives the name of a code's Secret.
func (u *approver) expectCode(code string) <-chan string {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ready[code] = make(chan string, 1)
	return u.ready[code]
}

func (u *approver) handleCode(code *v1alpha1.PairingCode) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if ready := u.ready[code.Name]; ready != nil && code.Status.SecretName != "" {
		select {
		case ready <- code.Status.SecretName:
		default: // the name was sent before
		}
	}
}

func (u *approver) handleRequest(ctx context.Context, request *v1alpha1.PairingRequest) {
	u.mu.Lock()
	expected := u.ready[request.Spec.CodeName] != nil && !u.approved[request.UID]
	expected = expected && request.Status.Phase == v1alpha1.PairingRequestPending && request.Spec.Decision == nil
	if expected {
		u.approved[request.UID] = true
	}
	u.mu.Unlock()
	if !expected {
		return
	}
	request = request.DeepCopy()
	u.group.Go(func() error {
		if err := u.fleet.Client.Patch(ctx, request, approval); err != nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.errs = errors.Join(u.errs, fmt.Errorf("approve %s: %w", request.Name, err))
		}
		return nil
	})
}

// approvalErr returns the errors of failed approvals.
func (u *approver) approvalErr() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.errs
}

func (u *approver) close() error {
	u.cancel()
	if err := u.group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
