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

// File is what a configuration file says.
type File struct {
	// Path is where it is, or would be.
	Path string
	// Found: it is there.
	Found  bool
	values map[string]given
}

// given is a value and the line it stands in.
type given struct {
	text string
	line int
}

func (f File) place(line int) string { return fmt.Sprintf("%s:%d", f.Path, line) }

// Load reads the file, which nobody else may be able to write (ownfile.ErrLoose). One
// that is not there says nothing, unless it is required. Other errors are mistakes in it,
// one a line, each with its place; the other lines are in the File all the same.
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

// Check tells what is wrong with the values; one error a line.
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

// parse reads a mapping of texts, by hand for the lines.
func parse(path string, content []byte) (map[string]given, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, more yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil // empty, or only comments
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
