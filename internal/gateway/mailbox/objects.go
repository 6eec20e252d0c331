package mailbox

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
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
)

// ErrDeleted is returned if no object of that UID exists any more.
var ErrDeleted = errors.New("the object was deleted")

// Decision returns a status for d and whether to write it. After a conflict it is called again
// with the live object.
type Decision func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool)

// Objects keeps dispatches as CapabilityDispatch objects. All fields are required.
type Objects struct {
	Client client.Client
	// Reader reads live, without any cache.
	Reader client.Reader
	// Time is the API server's time. Clock runs the pauses between attempts.
	Time  clock.PassiveClock
	Clock clock.Clock
	// OnWrite is called after each write, with the name of its step and the stored dispatch.
	// OnConflict is called after each write that conflicted.
	OnWrite    func(step string, stored *v1alpha1.CapabilityDispatch)
	OnConflict func(step string, d *v1alpha1.CapabilityDispatch)
}

// ListUnfinished returns the unfinished dispatches of a Node from one consistent LIST.
func (o *Objects) ListUnfinished(ctx context.Context, key types.NamespacedName) ([]v1alpha1.CapabilityDispatch, error) {
	ctx, cancel := context.WithTimeout(ctx, apicall.Timeout)
	defer cancel()
	list := &v1alpha1.CapabilityDispatchList{}
	selector := fields.AndSelectors(UnfinishedSelector(), fields.OneTermEqualSelector("spec.nodeName", key.Name))
	err := o.Reader.List(ctx, list, client.InNamespace(key.Namespace), client.MatchingFieldsSelector{Selector: selector})
	if err != nil {
		return nil, fmt.Errorf("list the unfinished dispatches of node %q: %w", key.Name, err)
	}
	return list.Items, nil
}

// Read reads a dispatch live, and retries until the API server answers. It returns
// ErrDeleted if the name is unused or belongs to another object.
func (o *Objects) Read(ctx context.Context, key types.NamespacedName, uid types.UID) (*v1alpha1.CapabilityDispatch, error) {
	backoff := apicall.NewBackoff()
	for {
		d, err := o.get(ctx, key)
		switch {
		case err == nil && d.UID == uid:
			return d, nil
		case err == nil, apierrors.IsNotFound(err):
			return nil, ErrDeleted
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if err := apicall.Wait(ctx, o.Clock.After(backoff.Step())); err != nil {
			return nil, err
		}
	}
}

func (o *Objects) get(ctx context.Context, key types.NamespacedName) (*v1alpha1.CapabilityDispatch, error) {
	if len(validation.IsDNS1123Subdomain(key.Name)) > 0 { // A machine may send any name.
		return nil, apierrors.NewNotFound(v1alpha1.Resource("capabilitydispatches"), key.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, apicall.Timeout)
	defer cancel()
	d := &v1alpha1.CapabilityDispatch{}
	if err := o.Reader.Get(ctx, key, d); err != nil {
		return nil, err
	}
	return d, nil
}

// Write writes the status that decide returns, in one PUT with the known resourceVersion.
// After a conflict or a lost response it reads the object live and calls decide again. It stops
// when the write succeeds or decide finds nothing to write in a live object. It truncates an
// output that would not fit into the store.
//
// It returns the stored object, or ErrDeleted if the object was deleted. It returns the API's error
// if the API server refuses the status twice, and the context's error if ctx ends.
func (o *Objects) Write(ctx context.Context, step string, d *v1alpha1.CapabilityDispatch, decide Decision) (*v1alpha1.CapabilityDispatch, error) {
	backoff := apicall.NewBackoff()
	for live, refusals := false, 0; ; live = true {
		next, write := decide(d, o.Time.Now())
		if !write && live {
			return d, nil
		}
		if write {
			stored, err := o.putStatus(ctx, d, dispatch.Fit(d, next))
			switch {
			case err == nil:
				o.OnWrite(step, stored)
				return stored, nil
			case apierrors.IsNotFound(err):
				return nil, ErrDeleted
			case apierrors.IsConflict(err):
				o.OnConflict(step, d)
			case apicall.IsRefusal(err):
				if refusals++; refusals > 1 {
					return d, err
				}
			default:
				if err := apicall.Wait(ctx, o.Clock.After(backoff.Step())); err != nil {
					return d, err
				}
			}
		}
		fresh, err := o.Read(ctx, client.ObjectKeyFromObject(d), d.UID)
		if err != nil {
			return nil, err
		}
		d = fresh
	}
}

// putStatus sends only the status; the API server keeps the stored spec.
func (o *Objects) putStatus(ctx context.Context, d *v1alpha1.CapabilityDispatch, next v1alpha1.CapabilityDispatchStatus) (*v1alpha1.CapabilityDispatch, error) {
	ctx, cancel := context.WithTimeout(ctx, apicall.Timeout)
	defer cancel()
	body := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.Namespace, Name: d.Name, UID: d.UID, ResourceVersion: d.ResourceVersion},
		Status:     dispatch.OrderTimes(d, next),
	}
	if err := o.Client.Status().Update(ctx, body, client.FieldOwner(v1alpha1.FieldManagerDispatch)); err != nil {
		return nil, fmt.Errorf("write the status of dispatch %s/%s: %w", d.Namespace, d.Name, err)
	}
	body.ManagedFields = nil
	return body, nil
}

// UnfinishedSelector returns a selector for dispatches whose phase is not terminal.
func UnfinishedSelector() fields.Selector {
	var all []fields.Selector
	for _, phase := range dispatch.TerminalPhases() {
		all = append(all, fields.OneTermNotEqualSelector("status.phase", string(phase)))
	}
	return fields.AndSelectors(all...)
}
