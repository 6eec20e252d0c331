package testfleet

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// CreateDispatch creates a dispatch and returns it.
func (f *Fleet) CreateDispatch(node, capability string, input any, change ...func(*v1alpha1.CapabilityDispatchSpec)) *v1alpha1.CapabilityDispatch {
	f.Helper()
	raw, err := json.Marshal(input)
	if err != nil {
		f.Fatal(err)
	}
	d := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "d-" + rand.String(8)},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: node, Capability: capability, Input: &v1alpha1.JSON{Raw: raw}},
	}
	for _, c := range change {
		c(&d.Spec)
	}
	if err := f.System.Client.Create(f.Context(), d); err != nil {
		f.Fatalf("create dispatch: %v", err)
	}
	return d
}

// AwaitEnded waits until a dispatch is in a terminal phase.
func (f *Fleet) AwaitEnded(d *v1alpha1.CapabilityDispatch) *v1alpha1.CapabilityDispatch {
	f.Helper()
	return Await(f, d.Name, &v1alpha1.CapabilityDispatch{}, "terminal", func(d *v1alpha1.CapabilityDispatch) bool {
		return d.Status.Phase.Terminal()
	})
}

// CheckEcho fails the test unless echo succeeds on a machine, which proves that the machine has a
// session.
func (f *Fleet) CheckEcho(node string) {
	f.Helper()
	if d := f.AwaitEnded(f.CreateDispatch(node, "echo", map[string]any{"text": "hi"})); d.Status.Phase != v1alpha1.DispatchSucceeded {
		f.Errorf("a dispatch to %s ended %+v", node, d.Status)
	}
}
