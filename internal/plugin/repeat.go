package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// makeDispatch creates a dispatch and reads the stored object into d. If a dispatch of that name
// with the same request exists, d becomes that object and made is false.
func (t *tool) makeDispatch(ctx context.Context, f *fleet, d *v1alpha1.CapabilityDispatch) (made bool, err error) {
	wanted := d.Spec
	err = f.Create(ctx, d)
	switch {
	case err == nil:
		t.sayf("Made dispatch %s in namespace %s.", d.Name, d.Namespace)
		return true, nil
	case !apierrors.IsAlreadyExists(err) || d.Name == "":
		return false, fmt.Errorf("make a dispatch: %w", f.explain(err, "capabilitydispatches"))
	}
	if err := f.get(ctx, d.Name, d); err != nil {
		return false, fmt.Errorf("read dispatch %q, which exists: %w", d.Name, f.explain(err, "capabilitydispatches"))
	}
	if field := difference(wanted, d.Spec); field != "" {
		return false, fmt.Errorf("dispatch %q exists in namespace %q with another %s, and a dispatch does not change: choose another --name\nSee it: kubectl get cdisp %s -n %s -o yaml",
			d.Name, d.Namespace, field, d.Name, d.Namespace)
	}
	t.sayf("Dispatch %s exists in namespace %s and asks for the same: it is not run again.", d.Name, d.Namespace)
	return false, nil
}

// difference returns the name of the first field in which two requests differ; "" if they are
// equal.
func difference(wanted, existing v1alpha1.CapabilityDispatchSpec) string {
	for _, field := range []struct {
		name string
		same bool
	}{
		{"nodeName", wanted.NodeName == existing.NodeName},
		{"capability", wanted.Capability == existing.Capability},
		{"input", sameJSON(wanted.Input, existing.Input)},
		{"timeoutSeconds", wanted.TimeoutSeconds == existing.TimeoutSeconds},
		{"expirySeconds", wanted.ExpirySeconds == existing.ExpirySeconds},
	} {
		if !field.same {
			return field.name
		}
	}
	return ""
}

// sameJSON compares decoded values, because the server may store the members of an object in
// another order.
func sameJSON(a, b *v1alpha1.JSON) bool {
	if a == nil || b == nil {
		return a == b
	}
	var first, second any
	return json.Unmarshal(a.Raw, &first) == nil && json.Unmarshal(b.Raw, &second) == nil && reflect.DeepEqual(first, second)
}
