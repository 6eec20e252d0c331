package nodestatus

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// maxListed bounds the reasons in a condition, and the names listed for each reason.
const maxListed = 5

// degradedMessage returns a sentence about the granted capabilities that cannot run now. It groups
// capabilities by reason.
func degradedMessage(capabilities []v1alpha1.NodeCapability, policy v1alpha1.CapabilityPolicy) string {
	var reasons []string
	names, declared, count := map[string][]string{}, map[string]bool{}, 0
	add := func(name, reason string) {
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], name)
		count++
	}
	for _, c := range capabilities {
		declared[c.Name] = true
		if !c.Available && dispatch.Granted(policy, c.Name) {
			add(c.Name, cmp.Or(c.Reason, "the machine gives no reason"))
		}
	}
	for _, name := range policy.Allow {
		if !declared[name] && !capabilityname.IsFamily(name) && dispatch.Granted(policy, name) {
			add(name, "the machine does not declare it")
		}
	}
	var parts []string
	for _, reason := range reasons {
		parts = append(parts, joinFirst(names[reason], ", ")+": "+reason)
	}
	return fmt.Sprintf("Granted capabilities that cannot run now: %d: %s.", count, joinFirst(parts, "; "))
}

// joinFirst joins the first maxListed elements and counts the others.
func joinFirst(all []string, separator string) string {
	text := strings.Join(all[:min(len(all), maxListed)], separator)
	if len(all) > maxListed {
		text += fmt.Sprintf(" and %d more", len(all)-maxListed)
	}
	return text
}
