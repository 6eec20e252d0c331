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

// errGone means that an object was deleted before it had become what was waited for.
var errGone = errors.New("it was deleted meanwhile")

// retryPause is how long to wait after a connection was lost.
const retryPause = time.Second

// refusedTries is how often a server that let the person watch before may say no.
const refusedTries = 10

// pointerTo is a pointer to T that is an object.
type pointerTo[T any] interface {
	*T
	client.Object
}

// observer waits for one object.
type observer[T any, P pointerTo[T]] struct {
	fleet *fleet
	// list is an empty list of the kind, for the watch.
	list client.ObjectList
	// lost hears once of each connection that was lost and is tried again.
	lost func(error)
	// enough is called with each state of the object and says whether it is the last one wanted.
	enough func(P) bool
}

// wait watches from the state that is known already. It ends when enough says so, with errGone,
// when the server refuses, or when ctx ends; a lost connection it makes again.
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

// watch follows the object until it is done, or until the watch ends, which it does at times.
// opened says whether the server let it watch at all.
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

// final reports whether trying again cannot help.
func final(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, errGone) || apierrors.IsNotFound(err)
}

// refused reports whether the server said no. One that has just started says so to everybody,
// until it has read its rules.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
}
