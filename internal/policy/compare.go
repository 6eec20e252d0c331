package policy

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/config"
)

// comparePolicies returns the UID and generation of every shipped policy and binding by its kind
// and name. The error wraps errDisproved unless each of them is live with exactly the shipped spec.
// Additional policies do no harm: they can only refuse more, and the probes detect the fields that
// they set.
func comparePolicies(ctx context.Context, reader client.Reader) (map[string]string, error) {
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		return nil, fmt.Errorf("read the shipped policies: %w", err)
	}
	objects := make(map[string]string, len(shipped))
	live := map[schema.GroupVersionKind]map[string]*unstructured.Unstructured{}
	for _, want := range shipped {
		kind := want.GroupVersionKind()
		if live[kind] == nil {
			if live[kind], err = listByName(ctx, reader, kind); err != nil {
				return nil, err
			}
		}
		got, ok := live[kind][want.GetName()]
		switch {
		case !ok:
			return nil, disprovedError("%s %q is missing: apply config/policy", kind.Kind, want.GetName())
		case got.GetDeletionTimestamp() != nil:
			return nil, disprovedError("%s %q is being deleted: apply config/policy when it is gone", kind.Kind, want.GetName())
		case !equality.Semantic.DeepEqual(want.Object["spec"], got.Object["spec"]):
			return nil, disprovedError("%s %q differs from the shipped one: delete it and apply config/policy", kind.Kind, want.GetName())
		}
		objects[kind.Kind+" "+got.GetName()] = fmt.Sprintf("%s/%d", got.GetUID(), got.GetGeneration())
	}
	return objects, nil
}

func listByName(ctx context.Context, reader client.Reader, kind schema.GroupVersionKind) (map[string]*unstructured.Unstructured, error) {
	all := &unstructured.UnstructuredList{}
	all.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := reader.List(ctx, all); err != nil {
		return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
	}
	byName := make(map[string]*unstructured.Unstructured, len(all.Items))
	for i := range all.Items {
		byName[all.Items[i].GetName()] = &all.Items[i]
	}
	return byName, nil
}
