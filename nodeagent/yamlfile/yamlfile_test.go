package yamlfile

import (
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type document struct {
	Name  string            `yaml:"name"`
	On    bool              `yaml:"on"`
	List  []string          `yaml:"list"`
	Group map[string]string `yaml:"group"`
}

func TestMistakesAreInTheWordsOfTheFile(t *testing.T) {
	for content, want := range map[string]string{
		"nmae: x":                 `line 1: key "nmae" is unknown`,
		"name: x\nname: y":        `line 2: mapping key "name" already defined at line 1`,
		"name: [a]":               "line 1: a list is not a text",
		"name: {a: b}":            "line 1: a group of keys is not a text",
		"on: perhaps":             "line 1: a text `perhaps` is not true or false",
		"list: a":                 "line 1: a text `a` is not a list",
		"group: [a]":              "line 1: a list is not a group of keys",
		"list: {a: b}\nnmae: x":   `line 1: a group of keys is not a list; line 2: key "nmae" is unknown`,
		"- a":                     "line 1: a list is not a group of keys",
		"name: [":                 "line 1: ",
		"name: x\n---\nname: y\n": "one document",
		"\tname: x":               "found character that cannot start any token",
	} {
		err := Decode([]byte(content), new(document))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "yaml") || strings.Contains(err.Error(), "!!") {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	for _, content := range []string{"", "# only a comment\n", "name: x\n", "---\nname: x\n...\n"} {
		if err := Decode([]byte(content), new(document)); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestWhatYAMLHasAndJSONHasNot(t *testing.T) {
	for content, want := range map[string]string{
		"{1: a, b: {2: c}}":           `{"1":"a","b":{"2":"c"}}`,
		"{true: a, 1: b}":             `{"1":"b","true":"a"}`,
		"[{1: [{2: {}}]}]":            `[{"1":[{"2":{}}]}]`,
		`{0x10: a, "x": 1.5}`:         `{"16":"a","x":1.5}`,
		`{0x1: a, "1": b}`:            "twice",
		"{~: a, b: c}":                "quotes",
		"{1.5: a}":                    "quotes",
		"{2026-01-02: a, b: c, 1: d}": "quotes",
		"{a: [.nan]}":                 "here.a[0]: JSON has no number NaN",
		"{a: .inf}":                   "JSON has no number",
	} {
		var value any
		if err := yaml.Unmarshal([]byte(content), &value); err != nil {
			t.Fatal(err)
		}
		converted, err := JSON("here", value)
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", content, err, want)
			}
			continue
		}
		if got, err := json.Marshal(converted); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", content, got, err, want)
		}
	}
}
