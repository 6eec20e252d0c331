package config

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Write writes a file of every setting with its usage. Settings that have a value in values are
// active; the others are comments with their defaults. Write replaces the file atomically and
// reports whether the content changed.
func Write(path string, values map[string]string) (changed bool, err error) {
	content, err := Render(values)
	if err != nil {
		return false, err
	}
	if oldContent, err := os.ReadFile(path); err == nil && bytes.Equal(oldContent, content) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("make the folder of the configuration: %w", err)
	}
	temporary := path + ".new-" + rand.Text()
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return false, fmt.Errorf("write configuration: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return false, fmt.Errorf("write configuration: %w", errors.Join(err, os.Remove(temporary)))
	}
	return true, nil
}

// Render returns the content of the file that Write writes.
func Render(values map[string]string) ([]byte, error) {
	var text bytes.Buffer
	text.WriteString("# Configuration of mooring-agent. A flag counts before the environment (MOORING_…),\n" +
		"# which counts before this file. Check it: mooring-agent config validate\n")
	for _, s := range Settings {
		fmt.Fprintf(&text, "\n# %s\n", strings.ReplaceAll(s.Usage, "`", ""))
		value, set := values[s.Key]
		if !set || value == "" {
			fmt.Fprintf(&text, "#%s: %s\n", s.Key, s.Default)
			continue
		}
		line, err := yaml.Marshal(map[string]string{s.Key: value})
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", s.Key, err)
		}
		text.Write(line)
	}
	return text.Bytes(), nil
}

// Values returns the values of the file by key.
func (f File) Values() map[string]string {
	values := map[string]string{}
	for key, g := range f.values {
		values[key] = g.text
	}
	return values
}
