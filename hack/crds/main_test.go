package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestLinesOfAParagraphAreJoined(t *testing.T) {
	for in, want := range map[string]string{
		"one line":                   "one line",
		"a\nb\nc":                    "a b c",
		"a\nb\n\nc\nd":               "a b\n\nc d",
		"a:\n- b\nc\n- d":            "a:\n- b c\n- d",
		"a:\n\n  example: 1\n\nmore": "a:\n\n  example: 1\n\nmore",
	} {
		if got := joinLines(in); got != want {
			t.Errorf("joinLines(%q) = %q, want %q", in, got, want)
		}
		if again := joinLines(joinLines(in)); again != want {
			t.Errorf("joined twice: %q", again)
		}
	}
}

// TestNoDescriptionIsRagged checks each description that kubectl explain shows.
func TestNoDescriptionIsRagged(t *testing.T) {
	files, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d CRDs, error %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd map[string]any
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		checked := 0
		eachDescription(crd, func(description string) string {
			checked++
			lines := strings.Split(description, "\n")
			for i := range lines[1:] {
				if sameParagraph(lines[i], lines[i+1]) {
					t.Errorf("%s: a line ends within a paragraph: %q", filepath.Base(file), lines[i])
				}
			}
			if strings.Contains(description, "nodes.mooring.dev") {
				t.Errorf("%s: kubectl explain takes the dot of nodes.mooring.dev for a field, say mnode: %q", filepath.Base(file), description)
			}
			return description
		})
		if checked < 20 {
			t.Errorf("%s: only %d descriptions were checked", file, checked)
		}
	}
}
