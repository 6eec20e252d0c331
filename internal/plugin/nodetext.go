package plugin

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// nodeText describes a Node in lines of "key: value".
func nodeText(n *v1alpha1.Node, now time.Time) string {
	var text strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&text, "%-14s %s\n", key+":", foreign.CleanLine(value))
		}
	}
	presence := string(n.Status.Presence)
	if since := timeSince(now, timeOf(n.Status.Since)); since != "" {
		presence += " (for " + since + ")"
	}
	line("Name", n.Name)
	line("Namespace", n.Namespace)
	line("Presence", presence)
	line("Trust", string(n.Status.Trust))
	if n.Spec.DesiredState != v1alpha1.NodeActive {
		line("Desired", strings.TrimSpace(string(n.Spec.DesiredState)+" "+n.Spec.RevocationReason))
	}
	line("Platform", describeSystem(n.Status.System))
	if n.Status.System != nil {
		line("Agent", n.Status.System.AgentVersion)
	}
	line("Gateway", n.Status.Gateway)
	line("Certificate", n.Status.CertificateExpires)
	line("Fingerprint", n.Spec.PublicKeySHA256)
	line("Allowed", strings.Join(n.Spec.CapabilityPolicy.Allow, ", "))
	line("Denied", strings.Join(n.Spec.CapabilityPolicy.Deny, ", "))
	for _, condition := range n.Status.Conditions {
		if indicatesProblem(condition) {
			line(condition.Type, fmt.Sprintf("%s: %s: %s", condition.Status, condition.Reason, condition.Message))
		}
	}
	return text.String()
}

// indicatesProblem reports whether a condition indicates a problem.
func indicatesProblem(c metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.ConditionReady, v1alpha1.ConditionConnected, v1alpha1.ConditionCertificateValid:
		return c.Status != metav1.ConditionTrue
	}
	return c.Status == metav1.ConditionTrue
}

var capabilityHeader = []string{"CAPABILITY", "USABLE", "ASKS-PERSON", "DESCRIPTION"}

// capabilityRows lists the declared capabilities, whether each is usable and, if not, why.
func capabilityRows(n *v1alpha1.Node) [][]string {
	var rows [][]string
	for _, c := range n.Status.Capabilities {
		usable := "yes"
		switch {
		case !dispatch.Granted(n.Spec.CapabilityPolicy, c.Name):
			usable = "no: not granted"
		case !c.Available:
			usable = strings.TrimSuffix("no: "+c.Reason, ": ")
		}
		asks := "no"
		if c.Mediation == v1alpha1.MediationLocal {
			asks = "yes"
		}
		rows = append(rows, []string{c.Name, usable, asks, c.Description})
	}
	return rows
}
