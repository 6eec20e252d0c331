package stack_test

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
)

// expectExit waits until the agent exits, with a code other than 0 and a text for people.
func expectExit(f *fleet, agent *stack.Process, text string) {
	f.Helper()
	code, err := agent.Wait(f.BoundedContext())
	if err != nil {
		f.Fatalf("%v; it printed:\n%s", err, agent.Tail(10))
	}
	if code == 0 || !strings.Contains(agent.Output(), text) {
		f.Fatalf("%s ended with code %d and printed, without %q:\n%s", agent.Name, code, text, agent.Tail(10))
	}
}

// approveOnly approves a request and grants only one of the requested capabilities.
func (f *fleet) approveOnly(request, capability string) {
	f.Helper()
	patch := fmt.Sprintf(`{"spec":{"decision":{"verdict":"Approved","capabilities":[%q]}}}`, capability)
	object := &v1alpha1.PairingRequest{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: request}}
	if err := system.Client.Patch(f.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		f.Fatalf("decide %s: %v", request, err)
	}
}
