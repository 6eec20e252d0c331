package capability

import (
	"bytes"
	"context"
	"encoding/json"
)

// Echo returns its input: the shortest test of the whole path.
type Echo struct{}

// Name returns echo.
func (Echo) Name() string { return "echo" }

// Description returns a sentence for people.
func (Echo) Description() string { return "Returns its input." }

// Schema returns nil, which allows any object.
func (Echo) Schema() json.RawMessage { return nil }

// Mediation returns MediationNone: the capability changes nothing on the machine.
func (Echo) Mediation() Mediation { return MediationNone }

// Run returns the input without insignificant space.
func (Echo) Run(_ context.Context, request Request) (json.RawMessage, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, request.Input); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// emptyInputSchema is the schema of a capability without parameters.
var emptyInputSchema = json.RawMessage(`{"type":"object","additionalProperties":false}`)
