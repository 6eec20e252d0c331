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
	values map[string]fileValue
}

// fileValue is a value and its line in the file.
type fileValue struct {
	text string
	line int
}

func (f File) position(line int) string { return fmt.Sprintf("%s:%d", f.Path, line) }

// Load reads the file. Another user who can write the file is an error (ownfile.ErrUnsafe). A
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
	f.values, err = parseFile(path, content)
	return f, err
}

// Check returns the errors of all invalid values, one a line.
func (f File) Check() error {
	var errs []error
	for _, s := range Settings {
		if g, ok := f.values[s.Key]; ok {
			if err := s.check(g.text); err != nil {
				errs = append(errs, &valueError{source: f.position(g.line), key: s.Key, err: err})
			}
		}
	}
	return errors.Join(errs...)
}

// parseFile reads a mapping of texts from the YAML nodes, because they have the line numbers.
func parseFile(path string, content []byte) (map[string]fileValue, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var document, extra yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil // empty, or comments only
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(&extra); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: it must hold one document", path)
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: it must hold lines of the form KEY: VALUE", path, root.Line)
	}
	values := map[string]fileValue{}
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if err := addEntry(values, key, value); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", path, key.Line, err))
		}
	}
	return values, errors.Join(errs...)
}

func addEntry(values map[string]fileValue, key, value *yaml.Node) error {
	_, known := settingByKey(key.Value)
	switch _, duplicate := values[key.Value]; {
	case !known:
		return fmt.Errorf("unknown key %q; the keys are %s", key.Value, strings.Join(settingKeys(), ", "))
	case duplicate:
		return fmt.Errorf("%s is given twice", key.Value)
	case value.Kind != yaml.ScalarNode:
		return fmt.Errorf("%s must be one text", key.Value)
	case value.Tag == "!!null":
		values[key.Value] = fileValue{line: value.Line}
	default:
		values[key.Value] = fileValue{text: value.Value, line: value.Line}
	}
	return nil
}

func settingKeys() []string {
	var all []string
	for _, s := range Settings {
		all = append(all, s.Key)
	}
	slices.Sort(all)
	return all
}
