package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

// File is the content of a configuration file.
type File struct {
	// Path is the path of the file, whether it exists or not.
	Path string
	// Found reports whether the file exists.
	Found  bool
	values map[string]given
}

// given is a value and its line in the file.
type given struct {
	text string
	line int
}

func (f File) place(line int) string { return fmt.Sprintf("%s:%d", f.Path, line) }

// Load reads the file. Another user who can write the file is an error (ownfile.ErrLoose). A
// missing file has no values, and is an error only if required. All other errors are mistakes in
// the file, one a line with its place; the File holds the other lines all the same.
func Load(path string, required bool) (File, error) {
	f := File{Path: path}
	content, err := ownfile.Read(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !required:
		return f, nil
	case err != nil:
		return f, fmt.Errorf("configuration file: %w", err)
	}
	f.Found = true
	f.values, err = parse(path, content)
	return f, err
}

// Check returns the errors of all invalid values, one a line.
func (f File) Check() error {
	var wrong []error
	for _, s := range Settings {
		if g, ok := f.values[s.Key]; ok {
			if err := s.check(g.text); err != nil {
				wrong = append(wrong, &valueError{place: f.place(g.line), key: s.Key, err: err})
			}
		}
	}
	return errors.Join(wrong...)
}

// parse reads a mapping of texts from the YAML nodes, because they have the line numbers.
func parse(path string, content []byte) (map[string]given, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil // empty, or comments only
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: it must hold one document", path)
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: it must hold lines of the form KEY: VALUE", path, root.Line)
	}
	values := map[string]given{}
	var wrong []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if err := entry(values, key, value); err != nil {
			wrong = append(wrong, fmt.Errorf("%s:%d: %w", path, key.Line, err))
		}
	}
	return values, errors.Join(wrong...)
}

func entry(values map[string]given, key, value *yaml.Node) error {
	_, known := byKey(key.Value)
	switch _, twice := values[key.Value]; {
	case !known:
		return fmt.Errorf("unknown key %q; the keys are %s", key.Value, strings.Join(keys(), ", "))
	case twice:
		return fmt.Errorf("%s is given twice", key.Value)
	case value.Kind != yaml.ScalarNode:
		return fmt.Errorf("%s must be one text", key.Value)
	case value.Tag == "!!null":
		values[key.Value] = given{line: value.Line}
	default:
		values[key.Value] = given{text: value.Value, line: value.Line}
	}
	return nil
}

func keys() []string {
	var all []string
	for _, s := range Settings {
		all = append(all, s.Key)
	}
	slices.Sort(all)
	return all
}
