package config_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The examples in pages and samples must be YAML without repeated keys. Objects of Mooring's kinds
// must have no unknown field.
func TestExamplesDecodeStrictly(t *testing.T) {
	ours := map[string]int{}
	for _, path := range filesOf(t, ".md", "../README.md", "../SECURITY.md", "../CONTRIBUTING.md", "../docs") {
		for line, block := range yamlBlocks(read(t, path)) {
			ours["pages"] += decodeStrictly(t, fmt.Sprintf("%s:%d", path, line), block)
		}
	}
	for _, path := range filesOf(t, ".yaml", "samples", "../hack/demo") {
		ours["samples"] += decodeStrictly(t, path, read(t, path))
	}
	if ours["pages"] < 1 || ours["samples"] < 8 {
		t.Errorf("too few examples of Mooring's kinds were found: %v", ours)
	}
}

func TestAMistakeInAnExampleIsFound(t *testing.T) {
	const good = "apiVersion: mooring.dev/v1alpha1\nkind: CapabilityDispatch\nmetadata: {name: x}\nspec:\n  nodeName: a\n  capability: echo\n"
	blocks := yamlBlocks("1. text\n   ```yaml\n   a: b\n   c:\n     d: e\n   ```\n```sh\nnone: [\n```\n")
	if len(blocks) != 1 || blocks[3] != "a: b\nc:\n  d: e\n" {
		t.Errorf("blocks %v", blocks)
	}
	for _, try := range []struct {
		text string
		ok   bool
	}{{good, true}, {good + "  timeout: 3\n", false}, {good + "  nodeName: b\n", false}, {strings.Replace(good, "Dispatch\n", "Order\n", 1), false}} {
		if _, err := decodeDocument([]byte(try.text)); (err == nil) != try.ok {
			t.Errorf("%s%v", try.text, err)
		}
	}
}

// filesOf lists the files with an extension under the roots.
func filesOf(t *testing.T, extension string, roots ...string) []string {
	t.Helper()
	var found []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Ext(path) == extension {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// yamlBlocks returns the YAML blocks of a page by the line in which they begin. It removes the
// indentation of blocks in a list.
func yamlBlocks(page string) map[int]string {
	blocks, start, indent := map[int]string{}, 0, ""
	for i, line := range strings.Split(page, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case start == 0 && (trimmed == "```yaml" || trimmed == "```yml"):
			start, indent = i+2, line[:strings.Index(line, "`")]
		case start > 0 && trimmed == "```":
			start = 0
		case start > 0:
			blocks[start] += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	return blocks
}

// decodeStrictly reports the errors of a text, and returns the number of documents of Mooring's
// kinds.
func decodeStrictly(t *testing.T, where, text string) (ours int) {
	t.Helper()
	for _, document := range strings.Split(text, "\n---\n") {
		isMooring, err := decodeDocument([]byte(document))
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
		if isMooring {
			ours++
		}
	}
	return ours
}

// decodeDocument decodes one document, and reports whether it is of a Mooring kind.
func decodeDocument(document []byte) (ours bool, err error) {
	var fields map[string]any
	if err := yaml.UnmarshalStrict(document, &fields); err != nil {
		return false, err
	}
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return false, err
	}
	if meta.APIVersion != v1alpha1.GroupVersion.String() {
		return false, nil
	}
	kinds := map[string]func() error{
		"CapabilityDispatch": func() error { return yaml.UnmarshalStrict(document, &v1alpha1.CapabilityDispatch{}) },
		"PairingCode":        func() error { return yaml.UnmarshalStrict(document, &v1alpha1.PairingCode{}) },
		"PairingRequest":     func() error { return yaml.UnmarshalStrict(document, &v1alpha1.PairingRequest{}) },
		"Node":               func() error { return yaml.UnmarshalStrict(document, &v1alpha1.Node{}) },
	}
	decode, known := kinds[meta.Kind]
	if !known {
		return true, fmt.Errorf("%s is not a Mooring kind", meta.Kind)
	}
	return true, decode()
}
