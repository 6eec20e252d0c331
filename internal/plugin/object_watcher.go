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

// errDeleted means that an object was deleted before it reached the awaited state.
var errDeleted = errors.New("it was deleted meanwhile")

// retryPause is the wait before a retry after a lost connection.
const retryPause = time.Second

// maxRefusals bounds the consecutive refusals of a server that permitted the watch before.
const maxRefusals = 10

// pointerTo is a constraint: a pointer to T that implements client.Object.
type pointerTo[T any] interface {
	*T
	client.Object
}

// objectWatcher waits for one object.
type objectWatcher[T any, P pointerTo[T]] struct {
	fleet *fleet
	// list is an empty list of the kind, for the watch.
	list client.ObjectList
	// onConnectionLost is called once for each lost connection that will be retried.
	onConnectionLost func(error)
	// isDone is called with each state of the object and reports whether it is the awaited one.
	isDone func(P) bool
}

// wait watches from the known state and reconnects after a lost connection. It returns nil when
// `isDone` reports true, `errDeleted` when the object is deleted, and an error when the server
// refuses or ctx ends.
func (o objectWatcher[T, P]) wait(ctx context.Context, known P) error {
	everOpened, failures := false, 0
	for {
		if o.isDone(known) {
			return nil
		}
		opened, done, err := o.watch(ctx, known)
		if done {
			return nil
		}
		everOpened = everOpened || opened
		if err == nil {
			known, err = o.read(ctx, known)
		}
		if err == nil {
			failures = 0
			continue
		}
		failures++
		if isFinal(ctx, err) || (isRefused(err) && (!everOpened || failures > maxRefusals)) {
			return errors.Join(context.Cause(ctx), err)
		}
		if failures == 1 {
			o.onConnectionLost(err)
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watch follows the object until it is done or the watch ends, as watches do from time to time. The
// result opened reports whether the server permitted the watch.
func (o objectWatcher[T, P]) watch(ctx context.Context, known P) (opened, done bool, err error) {
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
		if o.isDone(object) {
			return true, true, nil
		}
		if event.Type == watch.Deleted {
			return true, false, errDeleted
		}
	}
	return true, false, nil
}

func (o objectWatcher[T, P]) read(ctx context.Context, known P) (P, error) {
	var fresh T
	err := o.fleet.Get(ctx, client.ObjectKeyFromObject(known), P(&fresh))
	if apierrors.IsNotFound(err) && !isNotInstalled(err) {
		err = errDeleted
	}
	if err != nil {
		return known, err
	}
	return &fresh, nil
}

// isFinal reports whether a retry cannot help.
func isFinal(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, errDeleted) || apierrors.IsNotFound(err)
}

// isRefused reports whether the server denied the request. A server that has just started denies
// all requests until it has loaded its RBAC rules.
func isRefused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
}
