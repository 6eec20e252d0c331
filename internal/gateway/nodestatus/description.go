package nodestatus

import (
	"cmp"
	"fmt"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/inputschema"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// Bounds of the description of a machine. Longer texts are cut; more entries are refused.
const (
	maxDescription     = 512
	maxReason          = 256
	MaxSchemaBytes     = inputschema.MaxBytes
	MaxAllSchemasBytes = 32 << 10
	// MaxSentSchemasBytes bounds the schemas of a description as sent by the machine. Schemas
	// beyond it are not parsed.
	MaxSentSchemasBytes = 2 * MaxAllSchemasBytes
	MaxIDBytes          = 64
)

// Description holds the facts that a machine sent in RegisterNode or CapabilitiesChanged.
type Description struct {
	System *v1alpha1.SystemInfo
	BootID string
	// Declared are the capabilities as the agent sent them: Available does not consider the grant.
	Declared []v1alpha1.NodeCapability
	// AlteredSchemas names the capabilities whose schema had to be changed to be stored. Inputs are not
	// checked against such a schema, because the machine did not declare it. Usually nil.
	AlteredSchemas map[string]bool
}

// NewDescription returns the validated description in request. reserve takes the bytes of new schemas
// from the allowance of the machine and reports whether enough were available.
func NewDescription(request *gatewayv1.RegisterNodeRequest, verdicts *SchemaVerdicts, reserve func(bytes int) bool) (Description, error) {
	if len(request.GetBootId()) > MaxIDBytes {
		return Description{}, fmt.Errorf("boot_id is longer than %d bytes", MaxIDBytes)
	}
	d := Description{System: cmp.Or(peer.SystemInfo(request.GetSystem()), &v1alpha1.SystemInfo{}), BootID: foreign.TruncateLine(request.GetBootId(), MaxIDBytes)}
	err := d.SetCapabilities(request.GetCapabilities(), verdicts, reserve)
	return d, err
}

// SetCapabilities stores a list of capabilities in d; if it returns an error, d is unchanged. Schemas that
// are too large or cannot be stored are dropped: the machine itself validates its inputs.
func (d *Description) SetCapabilities(list []*gatewayv1.Capability, verdicts *SchemaVerdicts, reserve func(bytes int) bool) error {
	if len(list) > capabilityname.MaxDeclared {
		return fmt.Errorf("%d capabilities declared, at most %d are taken", len(list), capabilityname.MaxDeclared)
	}
	declared := make([]v1alpha1.NodeCapability, 0, len(list))
	var altered map[string]bool
	seen := map[string]bool{}
	sent, stored := 0, 0
	for _, c := range list {
		name := c.GetName()
		if !capabilityname.Valid(name) {
			return fmt.Errorf("capability name %q is not a dotted lower-case name of at most %d characters", foreign.TruncateLine(name, capabilityname.MaxBytes), capabilityname.MaxBytes)
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
		if sent += len(c.GetInputSchema()); sent <= MaxSentSchemasBytes {
			schema, err := storedSchema(c.GetInputSchema(), MaxAllSchemasBytes-stored, verdicts, reserve)
			if err != nil {
				return err
			}
			if schema != nil {
				stored += len(schema)
				capability.InputSchema = &v1alpha1.JSON{Raw: schema}
			}
			if schema != nil && !jsontext.Equal(schema, c.GetInputSchema()) {
				if altered == nil {
					altered = map[string]bool{}
				}
				altered[name] = true
			}
		}
		declared = append(declared, capability)
	}
	d.Declared, d.AlteredSchemas = declared, altered
	return nil
}
