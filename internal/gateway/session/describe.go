package session

import (
	"cmp"
	"fmt"
	"regexp"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/inputschema"
)

// Bounds of the description of a machine. Longer texts are cut; more entries are refused.
const (
	maxCapabilities    = 64
	maxCapabilityName  = 128
	maxDescription     = 512
	maxReason          = 256
	maxSchemaBytes     = inputschema.MaxBytes
	maxAllSchemasBytes = 32 << 10
	// maxSentSchemasBytes bounds the schemas of a description as sent by the machine. Schemas
	// beyond it are not parsed.
	maxSentSchemasBytes = 2 * maxAllSchemasBytes
	maxIDBytes          = 64
)

var capabilityName = regexp.MustCompile(`^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*$`)

// description holds the facts that a machine sent in RegisterNode or CapabilitiesChanged.
type description struct {
	system *v1alpha1.SystemInfo
	bootID string
	// declared are the capabilities as the agent sent them: Available does not consider the grant.
	declared []v1alpha1.NodeCapability
	// alteredSchemas names the capabilities whose schema had to be changed to be stored. Inputs are
	// not checked against such a schema, because the machine did not declare it. Usually nil.
	alteredSchemas map[string]bool
}

// newDescription returns the validated description in request. reserve takes the bytes of new
// schemas from the allowance of the machine and reports whether enough were available.
func newDescription(request *gatewayv1.RegisterNodeRequest, verdicts *schemaVerdicts, reserve func(bytes int) bool) (description, error) {
	if len(request.GetBootId()) > maxIDBytes {
		return description{}, fmt.Errorf("boot_id is longer than %d bytes", maxIDBytes)
	}
	d := description{system: cmp.Or(peer.SystemInfo(request.GetSystem()), &v1alpha1.SystemInfo{}), bootID: foreign.TruncateLine(request.GetBootId(), maxIDBytes)}
	err := d.setCapabilities(request.GetCapabilities(), verdicts, reserve)
	return d, err
}

// setCapabilities stores a list of capabilities in d; if it returns an error, d is unchanged.
// Schemas that are too large or cannot be stored are dropped: the machine itself validates its
// inputs.
func (d *description) setCapabilities(list []*gatewayv1.Capability, verdicts *schemaVerdicts, reserve func(bytes int) bool) error {
	if len(list) > maxCapabilities {
		return fmt.Errorf("%d capabilities declared, at most %d are taken", len(list), maxCapabilities)
	}
	declared := make([]v1alpha1.NodeCapability, 0, len(list))
	var altered map[string]bool
	seen := map[string]bool{}
	sent, stored := 0, 0
	for _, c := range list {
		name := c.GetName()
		if len(name) > maxCapabilityName || !capabilityName.MatchString(name) {
			return fmt.Errorf("capability name %q is not a dotted lower-case name of at most %d characters", foreign.TruncateLine(name, maxCapabilityName), maxCapabilityName)
		}
		if seen[name] {
			return fmt.Errorf("capability %s is declared twice", name)
		}
		seen[name] = true
		capability := v1alpha1.NodeCapability{
			Name:        name,
			Description: foreign.TruncateLine(c.GetDescription(), maxDescription),
			Mediation:   v1alpha1.MediationNone,
			Available:   c.GetAvailable(),
			Reason:      foreign.TruncateLine(c.GetReason(), maxReason),
		}
		if c.GetMediation() == gatewayv1.Mediation_MEDIATION_LOCAL {
			capability.Mediation = v1alpha1.MediationLocal
		}
		if sent += len(c.GetInputSchema()); sent <= maxSentSchemasBytes {
			schema, err := storedSchema(c.GetInputSchema(), maxAllSchemasBytes-stored, verdicts, reserve)
			if err != nil {
				return err
			}
			if schema != nil {
				stored += len(schema)
				capability.InputSchema = &v1alpha1.JSON{Raw: schema}
			}
			if schema != nil && !sameJSON(schema, c.GetInputSchema()) {
				if altered == nil {
					altered = map[string]bool{}
				}
				altered[name] = true
			}
		}
		declared = append(declared, capability)
	}
	d.declared, d.alteredSchemas = declared, altered
	return nil
}
