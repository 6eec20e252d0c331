// Package capability is what a machine can do: each capability is a small named
// function from a JSON object to a JSON value.
package capability

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Mediation says whether a person at the machine is asked first.
type Mediation int

// The kinds of mediation.
const (
	// None runs without asking.
	None Mediation = iota
	// Local asks a person at the machine.
	Local
)

// Capability is one thing the machine can do. Implementations are for concurrent
// use.
type Capability interface {
	// Name is dotted lower case, such as system.health.
	Name() string
	// Description is one sentence for people.
	Description() string
	// Schema is the JSON schema of the input, at most 4 KiB; nil when any object will do.
	Schema() json.RawMessage
	// Mediation says whether a person is asked first.
	Mediation() Mediation
	// Run does it and returns one JSON value. It ends soon after ctx does. An
	// *Error chooses the code that is reported.
	Run(ctx context.Context, request Request) (json.RawMessage, error)
}

// Checker is a Capability that can refuse an input before anything runs; such a
// dispatch ends Rejected, proven not to have started.
type Checker interface {
	// Check returns what is wrong with the input, for the person who wrote it.
	Check(input json.RawMessage) error
}

// Request is one run.
type Request struct {
	// Input is a JSON object.
	Input json.RawMessage
	// RequestedBy is the user who asked, as the cluster knows them.
	RequestedBy string
}

// Error is a failure with a stable code, one CamelCase word.
type Error struct {
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]*([.][a-z][a-z0-9_-]*)*$`)

const (
	maxNameBytes    = 128
	maxSchemaBytes  = 4 << 10
	maxCapabilities = 64
)

// Registry is the set of capabilities of an agent. It does not change.
type Registry struct {
	byName map[string]Capability
}

// NewRegistry collects capabilities; a bad or repeated name is a programming
// error the caller should see at start.
func NewRegistry(all ...Capability) (*Registry, error) {
	r := &Registry{byName: make(map[string]Capability, len(all))}
	if len(all) > maxCapabilities {
		return nil, fmt.Errorf("%d capabilities, at most %d can be declared", len(all), maxCapabilities)
	}
	for _, c := range all {
		name := c.Name()
		if len(name) > maxNameBytes || !namePattern.MatchString(name) {
			return nil, fmt.Errorf("capability name %q is not dotted lower case", name)
		}
		if r.byName[name] != nil {
			return nil, fmt.Errorf("capability %q is there twice", name)
		}
		if schema := c.Schema(); len(schema) > maxSchemaBytes || (schema != nil && !json.Valid(schema)) {
			return nil, fmt.Errorf("schema of capability %q is not JSON of at most %d bytes", name, maxSchemaBytes)
		}
		r.byName[name] = c
	}
	return r, nil
}

// Get finds a capability by name.
func (r *Registry) Get(name string) (Capability, bool) {
	c, ok := r.byName[name]
	return c, ok
}

// All lists the capabilities by name.
func (r *Registry) All() []Capability {
	all := make([]Capability, 0, len(r.byName))
	for _, c := range r.byName {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Capability) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// CheckObject refuses what is not exactly one JSON object.
func CheckObject(input json.RawMessage) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(input, &object); err != nil || object == nil {
		return errors.New("the input must be a JSON object")
	}
	return nil
}
