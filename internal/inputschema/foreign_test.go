package inputschema

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// doublingSchema returns a schema whose work doubles with each definition.
func doublingSchema(links int) string {
	var text strings.Builder
	text.WriteString(`{"$ref":"#/$defs/0","$defs":{`)
	for i := range links {
		fmt.Fprintf(&text, `"%d":{"allOf":[{"$ref":"#/$defs/%d"},{"$ref":"#/$defs/%d"}]},`, i, i+1, i+1)
	}
	fmt.Fprintf(&text, `"%d":{"type":"string"}}}`, links)
	return text.String()
}

func TestAForeignSchemaIsRefusedWhereItCouldCostMuch(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"work that doubles":           {doublingSchema(40), "more than 256"},
		"a circle":                    {`{"properties":{"next":{"$ref":"#"}}}`, "refers to itself"},
		"a circle of two":             {`{"$ref":"#/$defs/a","$defs":{"a":{"not":{"$ref":"#/$defs/b"}},"b":{"not":{"$ref":"#/$defs/a"}}}}`, "refers to itself"},
		"a dynamic circle":            {`{"$dynamicAnchor":"n","properties":{"next":{"$dynamicRef":"#n"}}}`, "refers to itself"},
		"deep":                        {strings.Repeat(`{"not":`, 40) + `{}` + strings.Repeat(`}`, 40), "nested deeper"},
		"wide":                        {`{"allOf":[` + strings.Repeat(`{},`, 300) + `{}]}`, "more than 256"},
		"a long enum":                 {`{"enum":[` + strings.Repeat(`0,`, 300) + `1]}`, "more than 256"},
		"a long constant":             {`{"const":[` + strings.Repeat(`0,`, 300) + `1]}`, "more than 256"},
		"a pattern that repeats":      {`{"pattern":"((abcdefgh){30}){30}"}`, "too large"},
		"a pattern that is long":      {`{"pattern":"` + strings.Repeat(`x`, 1100) + `"}`, "too large"},
		"names by such a pattern":     {`{"patternProperties":{"((abcdefgh){30}){30}":true}}`, "too large"},
		"many patterns":               {`{"allOf":[{"pattern":"(abcd){900}"},{"pattern":"(abcd){901}"}]}`, "too large"},
		"one pattern, referred often": {`{"allOf":[{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"},{"$ref":"#/$defs/a"}],"$defs":{"a":{"pattern":"(abc){900}"}}}`, "too large"},
		"a number without end":        {`{"maximum":1e999999}`, "too many digits"},
		"an input that is a regexp":   {`{"properties":{"a":{"format":"regex"}}}`, "regular expressions of inputs"},
		"a circle in an old keyword":  {`{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"$ref":"#"}]}`, "refers to itself"},
		"a circle by dependency":      {`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":{"$ref":"#"}}}`, "refers to itself"},
	} {
		if _, err := Compile([]byte(c.text)); err != nil {
			t.Errorf("%s is no schema: %v", name, err)
		}
		if _, err := CompileForeign([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestACheckThatTakesTooManyStepsIsNotMade(t *testing.T) {
	wide := `{"properties":{"a":{"items":{"allOf":[` + strings.Repeat(`{"type":"string"},`, 200) + `{}]}}}}`
	word := `{"properties":{"a":{"pattern":"^([a-z]+[0-9]+){1,20}$"}}}`
	for name, c := range map[string]struct {
		schema, input string
		unchecked     bool
	}{
		"few values":         {wide, `{"a":[1]}`, false},
		"many values":        {wide, `{"a":[` + strings.Repeat(`1,`, 200) + `1]}`, true},
		"a short text":       {word, `{"a":"-"}`, false},
		"a long text":        {word, `{"a":"` + strings.Repeat("a", 20_000) + `"}`, true},
		"invalid JSON":       {word, `{"a":`, true},
		"a long plain value": {`{"properties":{"a":{"type":"object"}}}`, `{"a":"` + strings.Repeat("a", 200_000) + `"}`, false},
	} {
		s, err := CompileForeign([]byte(c.schema))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CheckWithin([]byte(c.input), 20_000); err == nil || errors.Is(err, ErrTooExpensive) != c.unchecked {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzForeign checks that every schema and input of a machine is either judged or left to the
// machine. The judgement must never differ from the machine's own.
func FuzzForeign(f *testing.F) {
	for _, schema := range []string{
		`{"type":"object"}`, doublingSchema(4), `{"$ref":"#"}`, `{"pattern":"(a|b)*"}`, `{"$schema":"http://json-schema.org/draft-04/schema#","id":"x"}`,
		`{"unevaluatedProperties":false,"propertyNames":{"maxLength":2}}`, `{"$id":"mooring:input","$recursiveRef":"#"}`, `{"multipleOf":1e-300}`,
		`{"contentMediaType":"application/json","contentSchema":{"$ref":"#"}}`, `{"$vocabulary":{"x":true}}`,
	} {
		f.Add([]byte(schema), []byte(`{"a":[1,"x",null,{"b":1e300}]}`))
	}
	f.Fuzz(func(t *testing.T, schema, input []byte) {
		foreign, err := CompileForeign(schema)
		if err != nil || foreign == nil {
			return
		}
		if w := foreign.weight; w.subschemas > maxSubschemas || w.patternSteps > maxPatternSteps {
			t.Errorf("weight %+v", w)
		}
		gatewayErr := foreign.CheckWithin(input, 20_000)
		own, err := Compile(schema)
		if err != nil {
			t.Fatalf("the machine cannot use it: %v", err)
		}
		if own == nil || errors.Is(gatewayErr, ErrTooExpensive) {
			return
		}
		if ownErr := own.Check(input); (ownErr == nil) != (gatewayErr == nil) {
			t.Errorf("the machine returns %v, the gateway %v", ownErr, gatewayErr)
		}
	})
}
