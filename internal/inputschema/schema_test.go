package inputschema

import (
	"errors"
	"strings"
	"testing"
)

func TestASchemaThatCannotBeUsedIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":         `{`,
		"a list":          `[]`,
		"unknown type":    `{"type":"objekt"}`,
		"a file":          `{"$ref":"file:///etc/passwd"}`,
		"an address":      `{"$ref":"https://example.com/schema.json"}`,
		"a foreign draft": `{"$schema":"https://example.com/draft"}`,
		"too long":        `{"description":"` + strings.Repeat("x", MaxBytes) + `"}`,
		"a broken regexp": `{"properties":{"a":{"pattern":"("}}}`,
	} {
		for by, compile := range map[string]func([]byte) (*Schema, error){"Compile": Compile, "CompileForeign": CompileForeign} {
			if _, err := compile([]byte(text)); err == nil {
				t.Errorf("%s is taken by %s", name, by)
			}
		}
	}
}

func TestNoSchemaTakesEverything(t *testing.T) {
	s, err := CompileForeign(nil)
	if s != nil || err != nil {
		t.Fatalf("CompileForeign(nil) = %v, %v", s, err)
	}
	if err := errors.Join(s.Check([]byte(`{"a":1}`)), s.CheckWithin([]byte(`{"a":1}`), 1)); err != nil {
		t.Error(err)
	}
}

// The machine and a gateway must give the same result for an input.
func TestForeignSchemasJudgeAsOwnOnesDo(t *testing.T) {
	text := []byte(`{"type":"object","additionalProperties":false,"required":["host"],
		"$defs":{"port":{"type":"integer","maximum":65535}},
		"properties":{"host":{"type":"string","pattern":"^[a-z.]{1,63}$"},"port":{"$ref":"#/$defs/port"},"other":{"$ref":"#/$defs/port"},
		"mode":{"enum":["fast","slow"]},"list":{"type":"array","uniqueItems":true,"items":{"type":"string","format":"ipv4"}}},
		"dependentSchemas":{"mode":{"required":["port"]}},"patternProperties":{"^x-":true},"if":{"required":["list"]},"then":{"required":["mode"]}}`)
	own, err := Compile(text)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := CompileForeign(text)
	if err != nil {
		t.Fatal(err)
	}
	for input, want := range map[string]string{
		`{"host":"a.b"}`:                   "",
		`{"host":"a","x-y":[{}]}`:          "",
		`{}`:                               "missing property 'host'",
		`{"host":"A"}`:                     "host: 'A' does not match pattern",
		`{"host":"a","port":70000}`:        "port: maximum",
		`{"host":"a","other":1.5}`:         "other: got number, want integer",
		`{"host":"a","mode":"x","port":1}`: "mode: value must be one of 'fast', 'slow'",
		`{"host":"a","mode":"fast"}`:       "missing property 'port'",
		`{"host":"a","list":[]}`:           "missing property 'mode'",
		`{"host":"a","more":1}`:            "'more'",
		`{"host":"a","mode":"slow","port":1,"list":["1.2.3.4","1.2.3.4"]}`: "items at 0 and 1 are equal",
	} {
		a, b := own.Check([]byte(input)), foreign.CheckWithin([]byte(input), 10_000)
		if (a == nil) != (want == "") || (a != nil && !strings.Contains(a.Error(), want)) {
			t.Errorf("%s: %v, want %q", input, a, want)
		}
		if (a == nil) != (b == nil) || (a != nil && a.Error() != b.Error()) {
			t.Errorf("%s: the machine returns %v, the gateway %v", input, a, b)
		}
	}
}
