package dispatchtable

import (
	"fmt"
	"slices"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// validateInput returns the reason why the input of d violates the schema that the machine
// declared, or "". It also returns "" if only the machine can validate the input. That is so
// without a schema, with a schema that was changed to be stored, and where CheckInput cannot decide.
func (t *Table) validateInput(d *v1alpha1.CapabilityDispatch) string {
	name := d.Spec.Capability
	at := slices.IndexFunc(t.now.Declared, func(c v1alpha1.NodeCapability) bool { return c.Name == name })
	if at < 0 || t.now.Declared[at].InputSchema == nil || t.now.AlteredSchemas[name] {
		return ""
	}
	input := []byte("{}")
	if d.Spec.Input != nil {
		input = d.Spec.Input.Raw
	}
	if err := t.CheckInput(t.now.Declared[at].InputSchema.Raw, input); err != nil {
		return fmt.Sprintf("%v (capability %s of node %q: see inputSchema in its status.capabilities)", err, name, t.session.Node.Name)
	}
	return ""
}

// rejectInput returns a decision that ends a dispatch for its invalid input, if no other reason
// ends it.
func (t *Table) rejectInput(reason string) Decision {
	declared := t.now.Declared
	return func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		verdict := dispatch.Admit(d, node, declared, now)
		if verdict.Kind == dispatch.VerdictOffer {
			return dispatch.RejectInvalidInput(d.Status, reason, now), true
		}
		return verdict.Status, verdict.Kind == dispatch.VerdictSettle
	}
}
