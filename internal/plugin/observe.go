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
	// lost hears of each connection that was lost and will be tried again.
	lost func(error)
	// enough is called with each state of the object and says whether it is the last one wanted.
	enough func(P) bool
}

// wait watches from the state that is known already. It ends when enough says so, with errGone,
// when the server refuses, or when ctx ends; a lost connection it makes again.
func (o observer[T, P]) wait(ctx context.Context, known P) error {
	for {
		if o.enough(known) {
			return nil
		}
		done, err := o.watch(ctx, known)
		if done {
			return nil
		}
		if err == nil {
			known, err = o.read(ctx, known)
		}
		if err == nil {
			continue
		}
		if final(ctx, err) {
			return errors.Join(context.Cause(ctx), err)
		}
		o.lost(err)
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watch follows the object until it is done, or until the watch ends, which it does at times.
func (o observer[T, P]) watch(ctx context.Context, known P) (done bool, err error) {
	options := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: known.GetResourceVersion()}}
	w, err := o.fleet.Watch(ctx, o.list, options, client.InNamespace(known.GetNamespace()),
		client.MatchingFields{"metadata.name": known.GetName()})
	if err != nil {
		return false, err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		object, ok := event.Object.(P)
		if !ok {
			return false, nil // an error such as "too old": read and watch again
		}
		if o.enough(object) {
			return true, nil
		}
		if event.Type == watch.Deleted {
			return false, errGone
		}
	}
	return false, nil
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
	return ctx.Err() != nil || errors.Is(err, errGone) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err)
}
