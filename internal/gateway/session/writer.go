package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// fieldOwner marks the writes of gateways to dispatches.
const fieldOwner = client.FieldOwner("mooring-gateway")

// requestTimeout bounds one request to the API server.
const requestTimeout = 10 * time.Second

// errGone tells that an object of that UID does not exist any more.
var errGone = errors.New("the object was deleted")

// retries is how requests to an API server that does not answer are spread.
func retries() wait.Backoff {
	return wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 100, Cap: 10 * time.Second}
}

// writeStatus writes what decide says: one PUT with the known resourceVersion. After a
// conflict, or an answer that was lost, the object is read live and decided again, until
// the write succeeds or a live read shows that there is nothing to write. It returns the
// stored object; errGone when there is none; the API's error when it refuses the status
// twice; the context's error. An output that would not fit into the store is cut before.
func (s *Service) writeStatus(ctx context.Context, step string, d *v1alpha1.CapabilityDispatch, decide decision) (*v1alpha1.CapabilityDispatch, error) {
	backoff := retries()
	for live, refusals := false, 0; ; live = true {
		next, write := decide(d, s.Time.Now())
		if !write && live {
			return d, nil
		}
		if write {
			stored, err := s.putStatus(ctx, d, dispatch.Fit(d, next))
			switch {
			case err == nil:
				s.metrics.writes.WithLabelValues(step).Inc()
				return stored, nil
			case apierrors.IsNotFound(err):
				return nil, errGone
			case apierrors.IsConflict(err):
				s.metrics.conflicts.Inc()
			case refused(err):
				if refusals++; refusals > 1 {
					return d, err
				}
			default:
				if err := pause(ctx, s.Clock.After(backoff.Step())); err != nil {
					return d, err
				}
			}
		}
		fresh, err := s.liveDispatch(ctx, client.ObjectKeyFromObject(d), d.UID)
		if err != nil {
			return nil, err
		}
		d = fresh
	}
}

// putStatus sends the status alone: the API server keeps the stored spec.
func (s *Service) putStatus(ctx context.Context, d *v1alpha1.CapabilityDispatch, next v1alpha1.CapabilityDispatchStatus) (*v1alpha1.CapabilityDispatch, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion},
		Status:     dispatch.InOrder(d, next),
	}
	if err := s.Client.Status().Update(ctx, body, fieldOwner); err != nil {
		return nil, fmt.Errorf("write the status of dispatch %s/%s: %w", d.Namespace, d.Name, err)
	}
	body.ManagedFields = nil
	return body, nil
}

// liveDispatch reads past the cache until the API server answers; errGone when the name
// is free or belongs to another object.
func (s *Service) liveDispatch(ctx context.Context, key types.NamespacedName, uid types.UID) (*v1alpha1.CapabilityDispatch, error) {
	backoff := retries()
	for {
		d, err := s.getDispatch(ctx, key)
		switch {
		case err == nil && d.UID == uid:
			return d, nil
		case err == nil, apierrors.IsNotFound(err):
			return nil, errGone
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if err := pause(ctx, s.Clock.After(backoff.Step())); err != nil {
			return nil, err
		}
	}
}

func (s *Service) getDispatch(ctx context.Context, key types.NamespacedName) (*v1alpha1.CapabilityDispatch, error) {
	if len(validation.IsDNS1123Subdomain(key.Name)) > 0 { // A machine may name anything.
		return nil, apierrors.NewNotFound(v1alpha1.Resource("capabilitydispatches"), key.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	d := &v1alpha1.CapabilityDispatch{}
	if err := s.Reader.Get(ctx, key, d); err != nil {
		return nil, err
	}
	return d, nil
}

// getNode reads a Node live.
func (s *Service) getNode(ctx context.Context, key types.NamespacedName) (*v1alpha1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	node := &v1alpha1.Node{}
	if err := s.Reader.Get(ctx, key, node); err != nil {
		return nil, err
	}
	return node, nil
}

// listUnfinished is one consistent LIST of a Node's unfinished dispatches.
func (s *Service) listUnfinished(ctx context.Context, key types.NamespacedName) ([]v1alpha1.CapabilityDispatch, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list := &v1alpha1.CapabilityDispatchList{}
	selector := fields.AndSelectors(unfinished(), fields.OneTermEqualSelector("spec.nodeName", key.Name))
	err := s.Reader.List(ctx, list, client.InNamespace(key.Namespace), client.MatchingFieldsSelector{Selector: selector})
	if err != nil {
		return nil, fmt.Errorf("list the unfinished dispatches of node %q: %w", key.Name, err)
	}
	return list.Items, nil
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, done <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		return nil
	}
}
