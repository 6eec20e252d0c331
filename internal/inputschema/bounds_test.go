package inputschema

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"testing"
)

func TestASchemaMayCostExactlyAsMuchAsItsBounds(t *testing.T) {
	nested := func(levels int) string {
		return strings.Repeat(`{"not":`, levels-1) + `{}` + strings.Repeat(`}`, levels-1)
	}
	enum := func(values int) string { return `{"enum":[` + strings.Repeat(`0,`, values-1) + `1]}` }
	literal := func(size int) string { return `{"pattern":"` + strings.Repeat("x", size) + `"}` }
	// steps returns a schema with two patterns of 2000 steps each and one with the given number of
	// steps.
	steps := func(more int) string {
		return `{"allOf":[{"pattern":"a{1,1000}"},{"pattern":"b{1,1000}"},` + literal(more) + `]}`
	}
	described := func(size int) string { return `{"title":"` + strings.Repeat("x", size-len(`{"title":""}`)) + `"}` }
	for name, tt := range map[string]struct {
		schema func(int) string
		most   int
	}{
		"levels": {nested, maxDepth}, "subschemas and values": {enum, maxSubschemas - 2}, "bytes of patterns": {literal, maxPatternBytes},
		"steps of patterns": {steps, maxPatternSteps - 4000}, "bytes": {described, MaxBytes},
	} {
		if _, err := CompileForeign([]byte(tt.schema(tt.most))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := CompileForeign([]byte(tt.schema(tt.most + 1))); err == nil {
			t.Errorf("%s: one more is taken", name)
		}
	}
}

// The patterns are counted before they are compiled, and each text only once.
func TestPatternsAreCountedTogether(t *testing.T) {
	p := &patternCompiler{compiled: map[string]*pattern{}}
	for _, text := range []string{"a{1,1000}", "a{1,1000}", "b{1,1000}"} {
		if _, err := p.compile(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.compile("c{1,1000}"); !errors.Is(err, errLongPatterns) {
		t.Errorf("a third pattern of 2000 steps: %v", err)
	}
}

func TestStepsOfAPattern(t *testing.T) {
	for text, want := range map[string]int{
		"a": 1, "abc": 3, "a*": 2, "a|bb": 4, "[ac]": 1, "a{3,}": 2 * 4, "a{2,5}": 2 * 5, "(a{2,5}){3,4}": (1 + 1 + 2*5) * 4,
	} {
		re, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if got := estimateSteps(re); got != want {
			t.Errorf("stepsOf(%s) = %d, want %d", text, got, want)
		}
	}
	re, err := syntax.Parse(`\pL`, syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := estimateSteps(re), 1+len(re.Rune)/16; got != want || want < 10 {
		t.Errorf("a set of %d characters has %d steps, want %d", len(re.Rune), got, want)
	}
}

func TestACheckMayTakeExactlySoManySteps(t *testing.T) {
	for text, steps := range map[string]int{`{"type":"string"}`: 1, `{"properties":{"a":true}}`: 2} {
		s, err := CompileForeign([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CheckWithin([]byte(`"x"`), steps); errors.Is(err, ErrTooExpensive) {
			t.Errorf("%s: %v", text, err)
		}
		if err := s.CheckWithin([]byte(`"x"`), steps-1); !errors.Is(err, ErrTooExpensive) {
			t.Errorf("%s in a step less: %v", text, err)
		}
	}
}

func TestAFewMistakesAreNamedEachWithItsPlace(t *testing.T) {
	s, err := Compile([]byte(`{"items":{"type":"string"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for mistakes, named := range map[int]int{1: 1, maxMessages: maxMessages, maxMessages + 3: maxMessages} {
		err := s.Check([]byte(`[` + strings.Repeat(`1,`, mistakes-1) + `1]`))
		if got := strings.Count(fmt.Sprint(err), "want string"); got != named {
			t.Errorf("%d of %d mistakes are named: %v", got, mistakes, err)
		}
	}
	s, err = Compile([]byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check([]byte(`1`)); fmt.Sprint(err) != "the input does not fit the schema: got number, want object" {
		t.Error(err)
	}
}
