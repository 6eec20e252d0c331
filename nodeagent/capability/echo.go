package capability

import (
	"bytes"
	"context"
	"encoding/json"
)

// Echo answers with its input: the shortest way to see that everything works.
type Echo struct{}

// Name is echo.
func (Echo) Name() string { return "echo" }

// Description is for people.
func (Echo) Description() string { return "Returns its input." }

// Schema allows any object.
func (Echo) Schema() json.RawMessage { return nil }

// Mediation is not needed: nothing is touched.
func (Echo) Mediation() Mediation { return None }

// Run returns the input without insignificant space.
func (Echo) Run(_ context.Context, request Request) (json.RawMessage, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, request.Input); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// noInput is the schema of a capability without parameters.
var noInput = json.RawMessage(`{"type":"object","additionalProperties":false}`)
