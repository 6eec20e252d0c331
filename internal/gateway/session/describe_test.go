package session

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

func TestDeclareRefusesWhatCannotBeStored(t *testing.T) {
	many := make([]*gatewayv1.Capability, maxCapabilities+1)
	for i := range many {
		many[i] = &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i)}
	}
	cases := map[string]struct {
		list []*gatewayv1.Capability
		want string
	}{
		"too many":          {many, "65 capabilities declared, at most 64"},
		"an empty name":     {[]*gatewayv1.Capability{{}}, `capability name ""`},
		"a name with space": {[]*gatewayv1.Capability{{Name: "a b"}}, `capability name "a b"`},
		"a glob":            {[]*gatewayv1.Capability{{Name: "system.*"}}, `capability name "system.*"`},
		"a long name":       {[]*gatewayv1.Capability{{Name: strings.Repeat("a", 129)}}, "at most 128 characters"},
		"a name twice":      {[]*gatewayv1.Capability{{Name: "echo"}, {Name: "echo"}}, "echo is declared twice"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := new(description).declare(c.list)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("declare() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestSchemasThatAreTooLargeOrNoObjectsAreDropped(t *testing.T) {
	large := []byte(`{"d":"` + strings.Repeat("x", maxSchemaBytes) + `"}`)
	list := []*gatewayv1.Capability{
		{Name: "good", InputSchema: []byte(`{"type":"object"}`)},
		{Name: "large", InputSchema: large}, {Name: "list", InputSchema: []byte(`[1]`)},
		{Name: "broken", InputSchema: []byte(`{`)}, {Name: "null", InputSchema: []byte(`null`)},
	}
	var d description
	if err := d.declare(list); err != nil {
		t.Fatal(err)
	}
	for _, c := range d.declared {
		if kept := c.InputSchema != nil; kept != (c.Name == "good") {
			t.Errorf("schema of %s kept: %t", c.Name, kept)
		}
	}
	var full []*gatewayv1.Capability
	for i := range 20 {
		full = append(full, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i), InputSchema: []byte(`{"d":"` + strings.Repeat("x", 3000) + `"}`)})
	}
	if err := d.declare(full); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, c := range d.declared {
		if c.InputSchema != nil {
			total += len(c.InputSchema.Raw)
		}
	}
	if total == 0 || total > maxAllSchemasBytes {
		t.Errorf("%d bytes of schemas are kept, want some and at most %d", total, maxAllSchemasBytes)
	}
}

func TestCleanTextIsShortValidAndPrintable(t *testing.T) {
	cases := map[string]struct {
		in    string
		limit int
		want  string
	}{
		"plain text stays":               {"Debian GNU/Linux 12", 64, "Debian GNU/Linux 12"},
		"control characters go":          {"a\x00b\x1b[31m\nc", 64, "ab[31mc"},
		"bidirectional marks go":         {"a\u202eb", 64, "ab"},
		"broken UTF-8 goes":              {"a\xffb", 64, "ab"},
		"a cut does not split a letter":  {"aäö", 4, "aä"},
		"a cut keeps what exactly fits":  {"abcd", 4, "abcd"},
		"nothing is left of a zero rule": {"abcd", 0, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := clean(c.in, c.limit); got != c.want {
				t.Errorf("clean() = %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\xf0\x9f\x92", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(limit, 0)
		if got := clean(s, limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("clean(%q, %d) = %q", s, limit, got)
		}
	})
}
