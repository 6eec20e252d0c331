package sim

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ListAndWatch calls handle for every object of a selection that exists, is added or changes. It returns
// when ctx ends, with the error of ctx. An API server drops a watch whose client is slow for a
// moment, which is common on a loaded machine. ListAndWatch then lists and watches again, as
// informers do. It closes ready, if not nil, after the first list. kind is an empty list of the kind.
func ListAndWatch[T client.Object](ctx context.Context, c client.WithWatch, kind client.ObjectList, handle func(T), ready chan<- struct{}, selection ...client.ListOption) error {
	for ctx.Err() == nil {
		list := kind.DeepCopyObject().(client.ObjectList)
		if err := c.List(ctx, list, selection...); err != nil {
			return fmt.Errorf("list %T: %w", kind, err)
		}
		from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
		watching, err := c.Watch(ctx, kind.DeepCopyObject().(client.ObjectList), append(selection[:len(selection):len(selection)], from)...)
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
		if ready != nil {
			close(ready)
			ready = nil
		}
		_ = meta.EachListItem(list, func(o runtime.Object) error {
			handle(o.(T))
			return nil
		})
		for event := range watching.ResultChan() {
			if o, ok := event.Object.(T); ok && event.Type != watch.Deleted {
				handle(o)
			}
		}
		watching.Stop()
	}
	return ctx.Err()
}
