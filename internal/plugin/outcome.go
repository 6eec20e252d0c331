package plugin

import (
	"fmt"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// outcomeText returns a text for a dispatch that did not succeed: its end, whether it ran, the next
// step.
func outcomeText(d *v1alpha1.CapabilityDispatch) string {
	text := fmt.Sprintf("dispatch %q ended %s", d.Name, d.Status.Phase)
	code := ""
	if e := d.Status.Error; e != nil {
		code = e.Code
		text += ": " + foreign.CleanLine(e.Code)
		if e.Message != "" {
			text += ": " + foreign.QuoteLines(e.Message)
		}
	}
	switch d.Status.Execution {
	case v1alpha1.ExecutionNotStarted:
		text += "\nIt never ran."
	case v1alpha1.ExecutionStarted, v1alpha1.ExecutionUnknown:
		text += "\nIt may have run: look at the machine before you repeat it."
	}
	if suggestion := suggestNextStep(code, d); suggestion != "" {
		text += "\n" + suggestion
	}
	return text
}

// suggestNextStep returns a suggestion for an error code; "" when the message is sufficient.
func suggestNextStep(code string, d *v1alpha1.CapabilityDispatch) string {
	node, namespace := d.Spec.NodeName, d.Namespace
	look := fmt.Sprintf("kubectl mooring nodes %s -n %s", node, namespace)
	switch code {
	case v1alpha1.ErrorUnknownCapability:
		return "See what the machine offers: " + look
	case v1alpha1.ErrorNotGranted:
		return fmt.Sprintf("An approver can allow it: kubectl mooring grant %s --capability %s -n %s", node, d.Spec.Capability, namespace)
	case v1alpha1.ErrorCapabilityUnavailable, v1alpha1.ErrorExpired:
		return "See how the machine is: " + look
	case v1alpha1.ErrorNodeNotFound:
		return "See which machines there are: kubectl mooring nodes -n " + namespace
	case v1alpha1.ErrorTimeout:
		return "Give it more time with --timeout."
	case v1alpha1.ErrorPolicyUnproven:
		return "The cluster could not prove its admission policies at that time: ask its administrator, then try again."
	}
	return ""
}
