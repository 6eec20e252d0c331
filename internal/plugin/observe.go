package plugin

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// errGone means that an object was deleted before it reached the awaited state.
var errGone = errors.New("it was deleted meanwhile")

// retryPause is the wait before a retry after a lost connection.
const retryPause = time.Second

// refusedTries bounds the consecutive refusals of a server that permitted the watch before.
const refusedTries = 10

// pointerTo is a constraint: a pointer to T that implements client.Object.
type pointerTo[T any] interface {
	*T
	client.Object
}

// observer waits for one object.
type observer[T any, P pointerTo[T]] struct {
	fleet *fleet
	// list is an empty list of the kind, for the watch.
	list client.ObjectList
	// lost is called once for each lost connection that will be retried.
	lost func(error)
	// enough is called with each state of the object and reports whether it is the awaited one.
	enough func(P) bool
}

// wait watches from the known state and reconnects after a lost connection. It returns nil when
// `enough` reports true, `errGone` when the object is deleted, and an error when the server refuses
// or ctx ends.
func (o observer[T, P]) wait(ctx context.Context, known P) error {
	worked, failures := false, 0
	for {
		if o.enough(known) {
			return nil
		}
		opened, done, err := o.watch(ctx, known)
		if done {
			return nil
		}
		worked = worked || opened
		if err == nil {
			known, err = o.read(ctx, known)
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if final(ctx, err) || (refused(err) && (!worked || failures > refusedTries)) {
			return errors.Join(context.Cause(ctx), err)
		}
		if failures == 1 {
			o.lost(err)
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watch follows the object until it is done or the watch ends, as watches do from time to time.
// opened reports whether the server permitted the watch.
func (o observer[T, P]) watch(ctx context.Context, known P) (opened, done bool, err error) {
	options := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: known.GetResourceVersion()}}
	w, err := o.fleet.Watch(ctx, o.list, options, client.InNamespace(known.GetNamespace()),
		client.MatchingFields{"metadata.name": known.GetName()})
	if err != nil {
		return false, false, err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		object, ok := event.Object.(P)
		if !ok {
			return true, false, nil // an error such as "too old": read and watch again
		}
		if o.enough(object) {
			return true, true, nil
		}
		if event.Type == watch.Deleted {
			return true, false, errGone
		}
	}
	return true, false, nil
}

func (o observer[T, P]) read(ctx context.Context, known P) (P, error) {
	var fresh T
	err := o.fleet.Get(ctx, client.ObjectKeyFromObject(known), P(&fresh))
	if apierrors.IsNotFound(err) && !notInstalled(err) {
		err = errGone
	}
	if err != nil {
		return known, err
	}
	return &fresh, nil
}

// final reports whether a retry cannot help.
func final(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, errGone) || apierrors.IsNotFound(err)
}

// refused reports whether the server denied the request. A server that has just started denies all
// requests until it has loaded its RBAC rules.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
}
