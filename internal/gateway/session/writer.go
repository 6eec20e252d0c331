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

// fieldOwner is the field manager of the writes of gateways to dispatches.
const fieldOwner = client.FieldOwner("mooring-gateway")

// requestTimeout bounds one request to the API server.
const requestTimeout = 10 * time.Second

// errDeleted is returned if no object of that UID exists any more.
var errDeleted = errors.New("the object was deleted")

// newBackoff returns the backoff of requests to an API server that does not answer.
func newBackoff() wait.Backoff {
	return wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 100, Cap: 10 * time.Second}
}

// writeStatus writes the status that decide returns, in one PUT with the known resourceVersion.
// After a conflict or a lost response it reads the object live and calls decide again. It stops
// when the write succeeds or decide finds nothing to write in a live object. It truncates an
// output that would not fit into the store.
//
// It returns the stored object, or errDeleted if the object was deleted. It returns the API's error
// if the API server refuses the status twice, and the context's error if ctx ends.
func (s *Service) writeStatus(ctx context.Context, step string, d *v1alpha1.CapabilityDispatch, decide decision) (*v1alpha1.CapabilityDispatch, error) {
	backoff := newBackoff()
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
				return nil, errDeleted
			case apierrors.IsConflict(err):
				s.metrics.conflicts.Inc()
			case isRefusal(err):
				if refusals++; refusals > 1 {
					return d, err
				}
			default:
				if err := waitFor(ctx, s.Clock.After(backoff.Step())); err != nil {
					return d, err
				}
			}
		}
		fresh, err := s.readLiveDispatch(ctx, client.ObjectKeyFromObject(d), d.UID)
		if err != nil {
			return nil, err
		}
		d = fresh
	}
}

// putStatus sends only the status; the API server keeps the stored spec.
func (s *Service) putStatus(ctx context.Context, d *v1alpha1.CapabilityDispatch, next v1alpha1.CapabilityDispatchStatus) (*v1alpha1.CapabilityDispatch, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion},
		Status:     dispatch.OrderTimes(d, next),
	}
	if err := s.Client.Status().Update(ctx, body, fieldOwner); err != nil {
		return nil, fmt.Errorf("write the status of dispatch %s/%s: %w", d.Namespace, d.Name, err)
	}
	body.ManagedFields = nil
	return body, nil
}

// readLiveDispatch reads a dispatch live, and retries until the API server answers. It returns
// errDeleted if the name is unused or belongs to another object.
func (s *Service) readLiveDispatch(ctx context.Context, key types.NamespacedName, uid types.UID) (*v1alpha1.CapabilityDispatch, error) {
	backoff := newBackoff()
	for {
		d, err := s.getDispatch(ctx, key)
		switch {
		case err == nil && d.UID == uid:
			return d, nil
		case err == nil, apierrors.IsNotFound(err):
			return nil, errDeleted
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if err := waitFor(ctx, s.Clock.After(backoff.Step())); err != nil {
			return nil, err
		}
	}
}

func (s *Service) getDispatch(ctx context.Context, key types.NamespacedName) (*v1alpha1.CapabilityDispatch, error) {
	if len(validation.IsDNS1123Subdomain(key.Name)) > 0 { // A machine may send any name.
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

// listUnfinished returns the unfinished dispatches of a Node from one consistent LIST.
func (s *Service) listUnfinished(ctx context.Context, key types.NamespacedName) ([]v1alpha1.CapabilityDispatch, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list := &v1alpha1.CapabilityDispatchList{}
	selector := fields.AndSelectors(unfinishedSelector(), fields.OneTermEqualSelector("spec.nodeName", key.Name))
	err := s.Reader.List(ctx, list, client.InNamespace(key.Namespace), client.MatchingFieldsSelector{Selector: selector})
	if err != nil {
		return nil, fmt.Errorf("list the unfinished dispatches of node %q: %w", key.Name, err)
	}
	return list.Items, nil
}

// waitFor waits for done. It returns the error of ctx if ctx ends first.
func waitFor(ctx context.Context, done <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		return nil
	}
}
