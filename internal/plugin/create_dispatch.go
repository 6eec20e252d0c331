package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// createOrGetDispatch creates a dispatch and reads the stored object into d. If a dispatch of that
// name with the same request exists, d becomes that object and created is false.
func (t *tool) createOrGetDispatch(ctx context.Context, f *fleet, d *v1alpha1.CapabilityDispatch) (created bool, err error) {
	wanted := d.Spec
	err = f.Create(ctx, d)
	switch {
	case err == nil:
		t.noticef("Made dispatch %s in namespace %s.", d.Name, d.Namespace)
		return true, nil
	case !apierrors.IsAlreadyExists(err) || d.Name == "":
		return false, fmt.Errorf("make a dispatch: %w", f.explainError(err, "capabilitydispatches"))
	}
	if err := f.get(ctx, d.Name, d); err != nil {
		return false, fmt.Errorf("read dispatch %q, which exists: %w", d.Name, f.explainError(err, "capabilitydispatches"))
	}
	if field := firstDifference(wanted, d.Spec); field != "" {
		return false, fmt.Errorf("dispatch %q exists in namespace %q with another %s, and a dispatch does not change: choose another --name\nSee it: kubectl get cdisp %s -n %s -o yaml",
			d.Name, d.Namespace, field, d.Name, d.Namespace)
	}
	t.noticef("Dispatch %s exists in namespace %s and asks for the same: it is not run again.", d.Name, d.Namespace)
	return false, nil
}

// firstDifference returns the name of the first field in which two requests differ; "" if they are
// equal.
func firstDifference(wanted, existing v1alpha1.CapabilityDispatchSpec) string {
	for _, field := range []struct {
		name string
		same bool
	}{
		{"nodeName", wanted.NodeName == existing.NodeName},
		{"capability", wanted.Capability == existing.Capability},
		{"input", equalJSON(wanted.Input, existing.Input)},
		{"timeoutSeconds", wanted.TimeoutSeconds == existing.TimeoutSeconds},
		{"expirySeconds", wanted.ExpirySeconds == existing.ExpirySeconds},
	} {
		if !field.same {
			return field.name
		}
	}
	return ""
}

// equalJSON compares decoded values, because the server may store the members of an object in
// another order.
func equalJSON(a, b *v1alpha1.JSON) bool {
	if a == nil || b == nil {
		return a == b
	}
	var first, second any
	return json.Unmarshal(a.Raw, &first) == nil && json.Unmarshal(b.Raw, &second) == nil && reflect.DeepEqual(first, second)
}
