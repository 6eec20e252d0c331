package policy

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/config"
)

// watchPolicies requests a proof when a shipped policy or binding is deleted, replaced or edited,
// until ctx ends. Without it the gates would stay open until the next regular proof. It is not
// evidence: a missed event only delays the detection until then.
func watchPolicies(ctx context.Context, restConfig *rest.Config, like client.Client, request func()) error {
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		return fmt.Errorf("read the shipped policies: %w", err)
	}
	names := map[schema.GroupVersionKind]sets.Set[string]{}
	for _, object := range shipped {
		kind := object.GroupVersionKind()
		if names[kind] == nil {
			names[kind] = sets.New[string]()
		}
		names[kind].Insert(object.GetName())
	}
	objects, err := cache.New(restConfig, cache.Options{Scheme: like.Scheme(), Mapper: like.RESTMapper(), DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return fmt.Errorf("watch the admission policies: %w", err)
	}
	for kind := range names {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(kind)
		informer, err := objects.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %s: %w", kind.Kind, err)
		}
		if _, err := informer.AddEventHandler(requestOnChange(names[kind], request)); err != nil {
			return fmt.Errorf("watch %s: %w", kind.Kind, err)
		}
	}
	return objects.Start(ctx)
}

// requestOnChange calls request for each change of an object with one of the names.
func requestOnChange(names sets.Set[string], request func()) toolscache.ResourceEventHandler {
	handle := func(object any) {
		if unknown, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = unknown.Obj
		}
		if meta, ok := object.(metav1.Object); ok && names.Has(meta.GetName()) {
			request()
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: handle, // also for the first list: a change between the last proof and the list has no other event
		UpdateFunc: func(before, after any) {
			was, ok := before.(metav1.Object)
			is, also := after.(metav1.Object)
			if ok && also && (was.GetUID() != is.GetUID() || was.GetGeneration() != is.GetGeneration()) {
				handle(after)
			}
		},
		DeleteFunc: handle,
	}
}
