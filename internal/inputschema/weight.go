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

// weightVisitor walks a compiled schema along its references.
type weightVisitor struct {
	weight
	// ancestors holds the schemas from the root to the current one.
	ancestors []*jsonschema.Schema
}

var errCircular = errors.New("it refers to itself, so that the work of a check depends on the input")

func measureWeight(root *jsonschema.Schema) (weight, error) {
	w := &weightVisitor{}
	err := w.visit(root)
	return w.weight, err
}

func (w *weightVisitor) visit(s *jsonschema.Schema) error {
	if s == nil {
		return nil
	}
	switch {
	case slices.Contains(w.ancestors, s), s.DynamicRef != nil, s.RecursiveRef != nil:
		return errCircular
	case s.Format != nil && s.Format.Name == "regex":
		return errors.New("it makes regular expressions of inputs")
	}
	w.subschemas++
	if s.Enum != nil {
		w.subschemas += countValues(s.Enum.Values)
	}
	if s.Const != nil {
		w.subschemas += countValues(*s.Const)
	}
	w.addPattern(s.Pattern)
	for p := range s.PatternProperties {
		w.addPattern(p)
	}
	switch {
	case w.subschemas > maxSubschemas:
		return fmt.Errorf("it has more than %d subschemas and values", maxSubschemas)
	case w.patternSteps > maxPatternSteps:
		return errLongPatterns
	}
	w.ancestors = append(w.ancestors, s)
	defer func() { w.ancestors = w.ancestors[:len(w.ancestors)-1] }()
	for _, child := range subschemasOf(s) {
		if err := w.visit(child); err != nil {
			return err
		}
	}
	return nil
}

func (w *weightVisitor) addPattern(p jsonschema.Regexp) {
	if p, ok := p.(*pattern); ok {
		w.patternSteps += p.steps
	}
}

// subschemasOf returns the subschemas of s; some may be nil.
func subschemasOf(s *jsonschema.Schema) []*jsonschema.Schema {
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

// patternCompiler compiles the regular expressions of one schema, within bounds. The same text
// occurs more than once, because the metaschema compiles each one first.
type patternCompiler struct {
	compiled     map[string]*pattern
	bytes, steps int
}

type pattern struct {
	*regexp.Regexp
	steps int
}

var errLongPatterns = errors.New("its regular expressions are too large")

func (p *patternCompiler) compile(text string) (jsonschema.Regexp, error) {
	if known := p.compiled[text]; known != nil {
		return known, nil
	}
	if p.bytes += len(text); p.bytes > maxPatternBytes {
		return nil, errLongPatterns
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	size := estimateSteps(parsed)
	if p.steps += size; p.steps > maxPatternSteps {
		return nil, errLongPatterns
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	p.compiled[text] = &pattern{compiled, size}
	return p.compiled[text], nil
}

// estimateSteps estimates the number of instructions that a regular expression compiles to. A set
// of characters counts by its size.
func estimateSteps(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/16
	if re.Op == syntax.OpLiteral {
		size = len(re.Rune)
	}
	for _, sub := range re.Sub {
		size += estimateSteps(sub)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Max, re.Min+1, 1)
	}
	return min(size, maxPatternSteps+1)
}
