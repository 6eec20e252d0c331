package capability

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/inputschema"
)

// maxReasonBytes bounds the reason why a capability is unavailable.
const maxReasonBytes = 256

// Entry is a capability in a Registry.
type Entry struct {
	Capability
	schema *inputschema.Schema
	// impairment points to the impairment of the registry.
	impairment *atomic.Pointer[string]
}

// CheckInput rejects an input that is not one JSON object without repeated keys. It also rejects an
// input that does not match the schema, or that the capability itself rejects.
func (e *Entry) CheckInput(input json.RawMessage) error {
	if err := checkObject(input); err != nil {
		return err
	}
	if err := e.schema.Check(input); err != nil {
		return err
	}
	if checker, ok := e.Capability.(Checker); ok {
		return checker.Check(input)
	}
	return nil
}

// Target returns the text that a person is shown about a checked input.
func (e *Entry) Target(input json.RawMessage) (string, error) {
	if t, ok := e.Capability.(Targeter); ok {
		return t.Target(input)
	}
	return string(input), nil
}

// Warning returns a warning for a person about a target; for most targets it is empty.
func (e *Entry) Warning(target string) string {
	if w, ok := e.Capability.(Warner); ok {
		return w.Warning(target)
	}
	return ""
}

// Unavailable returns the reason why the capability cannot run now, in one line of at most
// maxReasonBytes; empty means that it can. A longer reason keeps its end, because the cause is
// there.
func (e *Entry) Unavailable() string {
	if reason := e.impairment.Load(); reason != nil {
		return foreign.TruncateLineStart(*reason, maxReasonBytes)
	}
	if c, ok := e.Capability.(Conditional); ok {
		return foreign.TruncateLineStart(c.Unavailable(), maxReasonBytes)
	}
	return ""
}

// Registry is the set of capabilities of an agent. Fixed capabilities are built into the program;
// own capabilities may be changed by the machine's user while the agent runs. It is for concurrent
// use.
type Registry struct {
	builtIn map[string]*Entry

	mu      sync.Mutex
	own     map[string]*Entry
	changed chan struct{}

	// impairment is the reason why the machine can run nothing at all; nil when there is none.
	impairment atomic.Pointer[string]
}

// NewRegistry returns a registry of the fixed capabilities. An invalid or repeated name is a
// programming error, so NewRegistry returns it at the start.
func NewRegistry(all ...Capability) (*Registry, error) {
	r := &Registry{builtIn: map[string]*Entry{}, changed: make(chan struct{})}
	for _, c := range all {
		if err := r.add(r.builtIn, c); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// SetOwn replaces the own capabilities. The error names each capability that cannot be declared;
// the others are registered.
func (r *Registry) SetOwn(all ...Capability) error {
	own := map[string]*Entry{}
	var errs []error
	for _, c := range all {
		errs = append(errs, r.add(own, c))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own = own
	close(r.changed)
	r.changed = make(chan struct{})
	return errors.Join(errs...)
}

// SetImpairment makes every capability unavailable for a reason that concerns the whole machine; an
// empty reason ends that.
func (r *Registry) SetImpairment(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.impairment.Store(nil)
	if reason != "" {
		r.impairment.Store(&reason)
	}
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Registry) add(entries map[string]*Entry, c Capability) error {
	name := c.Name()
	if !capabilityname.Valid(name) {
		return fmt.Errorf("capability name %q is not dotted lower case", name)
	}
	if r.builtIn[name] != nil || entries[name] != nil {
		return fmt.Errorf("capability %q is declared twice", name)
	}
	if len(r.builtIn)+len(entries) >= capabilityname.MaxDeclared {
		return fmt.Errorf("capability %q is one too many: at most %d can be declared", name, capabilityname.MaxDeclared)
	}
	compiled, err := inputschema.Compile(c.Schema())
	if err != nil {
		return fmt.Errorf("schema of capability %q: %w", name, err)
	}
	entries[name] = &Entry{Capability: c, schema: compiled, impairment: &r.impairment}
	return nil
}

// Get returns the capability with the given name.
func (r *Registry) Get(name string) (*Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.builtIn[name]; e != nil {
		return e, true
	}
	e, ok := r.own[name]
	return e, ok
}

// All returns the capabilities sorted by name. changed is closed when that list is out of date.
func (r *Registry) All() (all []*Entry, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	byName := maps.Clone(r.builtIn)
	maps.Copy(byName, r.own)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all, r.changed
}
