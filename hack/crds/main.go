// Command crds joins the lines of each paragraph in the descriptions of CustomResourceDefinitions:
// crds FOLDER. controller-gen keeps the line breaks of the Go comments, and kubectl explain wraps
// the text again. Without this command every second line would be short.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: crds FOLDER")
		os.Exit(2)
	}
	if err := rewrite(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "crds:", err)
		os.Exit(1)
	}
}

// rewrite changes each CRD of a folder in place.
func rewrite(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		joined, err := joinDescriptions(text)
		if err != nil {
			return fmt.Errorf("join the descriptions of %s: %w", file, err)
		}
		if err := os.WriteFile(file, joined, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// joinDescriptions returns a CRD whose descriptions have one line for each paragraph and list item.
func joinDescriptions(text []byte) ([]byte, error) {
	var crd map[string]any
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		return nil, err
	}
	eachDescription(crd, joinLines)
	encoded, err := yaml.Marshal(crd)
	return append([]byte("---\n"), encoded...), err
}

// eachDescription replaces each string value of a key "description". A property of that name is a
// map.
func eachDescription(value any, replace func(string) string) {
	switch value := value.(type) {
	case map[string]any:
		for key, child := range value {
			if text, ok := child.(string); ok && key == "description" {
				value[key] = replace(text)
			} else {
				eachDescription(child, replace)
			}
		}
	case []any:
		for _, child := range value {
			eachDescription(child, replace)
		}
	}
}

// joinLines joins two lines unless the second begins a paragraph or a list item, or is indented.
func joinLines(text string) string {
	var joined strings.Builder
	previous := ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case i == 0:
		case sameParagraph(previous, line):
			joined.WriteByte(' ')
		default:
			joined.WriteByte('\n')
		}
		joined.WriteString(line)
		previous = line
	}
	return joined.String()
}

// sameParagraph reports whether two lines belong to one paragraph.
func sameParagraph(first, second string) bool {
	return first != "" && second != "" && !strings.HasPrefix(second, "- ") && !strings.HasPrefix(second, " ") && !strings.HasPrefix(second, "\t")
}
