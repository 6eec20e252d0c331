package program

import (
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

// TestAReasonNamesItsCauseInTheWordsOfTheFile verifies that a reason names its cause, however deep
// in the file the cause is. The Node stores 256 bytes of a reason.
func TestAReasonNamesItsCauseInTheWordsOfTheFile(t *testing.T) {
	deep := func(schema string) string {
		for _, name := range []string{"volume", "options", "retention", "weekly", "monthly", "yearly", "archive", "location"} {
			schema = "{type: object, properties: {" + name + ": " + schema + "}}"
		}
		return "inputSchema: " + schema
	}
	for content, want := range map[string]string{
		deep("{type: string, pattern: '^(?!foo)bar'}"):         "volume.pattern: '^(?!foo)bar' is not valid regex",
		deep("{type: strng}"):                                  "type: got string, want array",
		deep("{minLength: -1}"):                                "volume.minLength: minimum: got -1, want 0",
		deep("{$ref: 'https://example.com/x'}"):                "may not refer to https://example.com/x",
		deep("{maximum: .inf}"):                                "volume.maximum: JSON has no number +Inf",
		deep("{? [a, b] : c}"):                                 "a key must be a text",
		"inputSchema: {type: object, required: yes}":           "inputSchema: required: got string, want array",
		"inputSchem: {}":                                       `key "inputSchem" is unknown`,
		"mediation: [local]":                                   "a list is not a text",
		"argv: /bin/true":                                      "is not a list",
		"environment: {set: [a]}":                              "a list is not a group of keys",
		"---\nname: x":                                         "one document",
		"argv: [/" + strings.Repeat("long/", 100) + "program]": "long/program does not exist",
	} {
		if !strings.HasPrefix(content, "argv") {
			content = "argv: [/bin/true]\n" + content
		}
		p, err := Load(writeCapabilityFile(t, t.TempDir(), "own.test", runAsLine()+content))
		if err == nil {
			t.Errorf("%s: the file is accepted, want an error", content)
			continue
		}
		r, err := capability.NewRegistry(p)
		if err != nil {
			t.Fatal(err)
		}
		e, _ := r.Get("own.test")
		reason := e.Unavailable()
		if len(reason) > 256 || !strings.Contains(reason, want) {
			t.Errorf("%s: %d bytes %q, want %q", content, len(reason), reason, want)
		}
		for _, foreign := range []string{"!!", "yaml:", "map[", "interface", "program.", "metaschema", "allOf", "mooring:input"} {
			if strings.Contains(reason, foreign) {
				t.Errorf("%s: %q contains a word of the implementation", content, reason)
			}
		}
	}
}

func TestKeysThatAreNumbersBecomeTexts(t *testing.T) {
	e := loadEntry(t, "argv: [/bin/echo, {parameter: \"1\"}]\ninputSchema: {type: object, properties: {1: {enum: [a, {2: b}]}, true: {type: boolean}}}\n")
	if err := e.CheckInput([]byte(`{"1":"a","true":false}`)); err != nil {
		t.Error(err)
	}
	if err := e.CheckInput([]byte(`{"1":"c"}`)); err == nil {
		t.Error("the schema of property 1 is not applied")
	}
}
