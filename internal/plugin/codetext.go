package plugin

import (
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// issuedCode is a pairing code with its gateway address and command, as people and scripts use it.
type issuedCode struct {
	Name        string                 `json:"name"`
	Namespace   string                 `json:"namespace"`
	Method      v1alpha1.PairingMethod `json:"method"`
	Code        string                 `json:"code,omitempty"`
	URI         string                 `json:"uri,omitempty"`
	Picture     string                 `json:"picture,omitempty"`
	Address     string                 `json:"address,omitempty"`
	ExpiresTime *metav1.Time           `json:"expiresTime,omitempty"`
	Command     string                 `json:"command,omitempty"`
	Replaces    string                 `json:"replaces,omitempty"`
	AutoApprove bool                   `json:"autoApprove,omitempty"`
}

// unknownAddress is the placeholder for the gateway's address when the controller was started
// without it.
const unknownAddress = "GATEWAY:7443"

// text returns the code, the instructions to use it, and notes about its effects.
func (m issuedCode) text(now time.Time) string {
	var text strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&text, "%-14s %s\n", key+":", foreign.CleanLine(value))
		}
	}
	line("Pairing code", m.Code)
	line("Pairing URI", m.URI)
	line("Picture", m.Picture)
	line("Gateway", m.address())
	line("Expires", m.expires(now))
	how := "Run on the machine:"
	if m.Method == v1alpha1.PairingMethodQR {
		how = "Run on the machine, then scan the picture there or paste the URI:"
	}
	fmt.Fprintf(&text, "\n%s\n\n  %s\n", how, foreign.CleanLine(m.Command))
	for _, note := range m.notes() {
		fmt.Fprintf(&text, "\n%s\n", foreign.CleanLine(note))
	}
	return text.String()
}

func (m issuedCode) address() string {
	if m.Address == "" && m.Method != v1alpha1.PairingMethodQR {
		return "unknown"
	}
	return m.Address
}

func (m issuedCode) expires(now time.Time) string {
	if m.ExpiresTime == nil {
		return "unknown"
	}
	return fmt.Sprintf("%s (in %s)", m.ExpiresTime.UTC().Format(time.DateTime+" MST"), timeLeft(now, m.ExpiresTime.Time))
}

func (m issuedCode) notes() []string {
	var notes []string
	if m.address() == "unknown" {
		notes = append(notes, "The controller does not know the gateway's address (--advertise-pairing-endpoint): replace GATEWAY in the command.")
	}
	if m.Replaces != "" {
		notes = append(notes, fmt.Sprintf("If node %s exists, the machine takes over its labels, policy and queue, and the present key of the node is rejected.", m.Replaces))
	}
	if m.AutoApprove {
		notes = append(notes, "The first machine that uses this code is approved automatically: keep the code secret.")
	}
	return notes
}
