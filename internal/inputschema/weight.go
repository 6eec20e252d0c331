package inputschema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// weight is the maximum cost of one value of an input.
type weight struct {
	// subschemas counts the subschemas that can apply to the value and the values that it is
	// compared with. A reference counts as its target, because chains of references could double
	// the work at each link.
	subschemas int
	// patternSteps is the total size of the regular expressions, counted in the same way.
	patternSteps int
}

// weigher walks a compiled schema along its references.
type weigher struct {
	weight
	// above holds the schemas from the root to the current one.
	above []*jsonschema.Schema
}

var errCircular = errors.New("it refers to itself, so that the work of a check depends on the input")

func weigh(root *jsonschema.Schema) (weight, error) {
	w := &weigher{}
	err := w.visit(root)
	return w.weight, err
}

func (w *weigher) visit(s *jsonschema.Schema) error {
	if s == nil {
		return nil
	}
	switch {
	case slices.Contains(w.above, s), s.DynamicRef != nil, s.RecursiveRef != nil:
		return errCircular
	case s.Format != nil && s.Format.Name == "regex":
		return errors.New("it makes regular expressions of inputs")
	}
	w.subschemas++
	if s.Enum != nil {
		w.subschemas += valuesIn(s.Enum.Values)
	}
	if s.Const != nil {
		w.subschemas += valuesIn(*s.Const)
	}
	w.pattern(s.Pattern)
	for p := range s.PatternProperties {
		w.pattern(p)
	}
	switch {
	case w.subschemas > maxSubschemas:
		return fmt.Errorf("it has more than %d subschemas and values", maxSubschemas)
	case w.patternSteps > maxPatternSteps:
		return errLongPatterns
	}
	w.above = append(w.above, s)
	defer func() { w.above = w.above[:len(w.above)-1] }()
	for _, child := range children(s) {
		if err := w.visit(child); err != nil {
			return err
		}
	}
	return nil
}

func (w *weigher) pattern(p jsonschema.Regexp) {
	if p, ok := p.(*pattern); ok {
		w.patternSteps += p.steps
	}
}

// children returns the subschemas of s; some may be nil.
func children(s *jsonschema.Schema) []*jsonschema.Schema {
	list := []*jsonschema.Schema{
		s.Ref, s.Not, s.If, s.Then, s.Else, s.PropertyNames, s.UnevaluatedProperties,
		s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema,
	}
	list = append(list, s.AllOf...)
	list = append(list, s.AnyOf...)
	list = append(list, s.OneOf...)
	list = append(list, s.PrefixItems...)
	list = slices.AppendSeq(list, maps.Values(s.Properties))
	list = slices.AppendSeq(list, maps.Values(s.PatternProperties))
	list = slices.AppendSeq(list, maps.Values(s.DependentSchemas))
	for _, dependency := range s.Dependencies {
		list = appendSchemas(list, dependency)
	}
	for _, either := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		list = appendSchemas(list, either)
	}
	return list
}

// appendSchemas appends a value that the library stores as any: a schema, several, or something
// else.
func appendSchemas(list []*jsonschema.Schema, value any) []*jsonschema.Schema {
	switch v := value.(type) {
	case *jsonschema.Schema:
		return append(list, v)
	case []*jsonschema.Schema:
		return append(list, v...)
	}
	return list
}

// patterns compiles the regular expressions of one schema, within bounds. The same text occurs more
// than once, because the metaschema compiles each one first.
type patterns struct {
	known        map[string]*pattern
	bytes, steps int
}

type pattern struct {
	*regexp.Regexp
	steps int
}

var errLongPatterns = errors.New("its regular expressions are too large")

func (p *patterns) compile(text string) (jsonschema.Regexp, error) {
	if known := p.known[text]; known != nil {
		return known, nil
	}
	if p.bytes += len(text); p.bytes > maxPatternBytes {
		return nil, errLongPatterns
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := stepsOf(parsed)
	if p.steps += size; p.steps > maxPatternSteps {
		return nil, errLongPatterns
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	p.known[text] = &pattern{compiled, size}
	return p.known[text], nil
}

// stepsOf estimates the number of instructions that a regular expression compiles to. A set of
// characters counts by its size.
func stepsOf(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/16
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += stepsOf(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min+1, 1)
	}
	return min(size, maxPatternSteps+1)
}
