package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// mutantVariable is the environment variable that names the active mutants, separated by commas.
	mutantVariable = "MOORING_MUTANT"
	// reachedVariable names the file that is written when the code of the mutant runs.
	reachedVariable = "MOORING_MUTANT_REACHED"
)

// switchFile is added to each package with mutants.
const switchFile = `package %s

import (
	"os"
	"slices"
	"strings"
)

var mutantsInForce, mutantReached = strings.Split(os.Getenv(%q), ","), os.Getenv(%q)

func isMutant(name string) bool {
	if !slices.Contains(mutantsInForce, name) {
		return false
	}
	if mutantReached != "" {
		_ = os.WriteFile(mutantReached, nil, 0o600)
		mutantReached = ""
	}
	return true
}
`

// instrument writes a copy of each file with mutants. In the copy every mutant is next to the code that
// it breaks, and the environment selects one of them, so that one build serves all mutants. It
// returns the overlay for the go command and the paths of the copies.
func instrument(root, dir string, mutants []Mutant) (overlay string, copies map[string]string, err error) {
	files := map[string][]place{}
	var problems []error
	for _, m := range mutants {
		p, err := m.findPlace(root)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		files[p.file] = append(files[p.file], p)
	}
	if err := errors.Join(problems...); err != nil {
		return "", nil, err
	}
	return instrumentPlaces(root, dir, files)
}

// instrumentPlaces does the work of `instrument` for places that are known, by file.
func instrumentPlaces(root, dir string, files map[string][]place) (overlay string, copies map[string]string, err error) {
	copies = map[string]string{}
	add := func(name string, content string) error {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		copies[filepath.Join(root, name)] = path
		return os.WriteFile(path, []byte(content), 0o600)
	}
	for file, places := range files {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", nil, err
		}
		err = errors.Join(add(file, instrumentSource(string(source), 0, len(source), places)),
			add(filepath.Dir(file)+"/mutants_woven.go", fmt.Sprintf(switchFile, places[0].packageName, mutantVariable, reachedVariable)))
		if err != nil {
			return "", nil, fmt.Errorf("write the mutants of %s: %w", file, err)
		}
	}
	content, err := json.Marshal(map[string]map[string]string{"Replace": copies})
	if err != nil {
		return "", nil, err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, copies, os.WriteFile(overlay, content, 0o600)
}

// instrumentSource returns source[begin:end] with the mutants of all places in it. Places may be nested.
func instrumentSource(source string, begin, end int, places []place) string {
	places = slices.SortedFunc(slices.Values(places), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(b.end, a.end))
	})
	var text strings.Builder
	for len(places) > 0 {
		outer, inner := places[0], places[1:]
		size := 0
		for size < len(inner) && inner[size].begin < outer.end {
			size++
		}
		text.WriteString(source[begin:outer.begin])
		text.WriteString(outer.mutant.switchCode(instrumentSource(source, outer.begin, outer.end, inner[:size]), outer.statement))
		begin, places = outer.end, inner[size:]
	}
	text.WriteString(source[begin:end])
	return text.String()
}

// switchCode returns code that runs the mutant when it is active, and otherwise the original.
func (m Mutant) switchCode(original string, statement bool) string {
	if statement {
		return fmt.Sprintf("if isMutant(%q) { %s } else { %s }", m.Name, m.Replacement, original)
	}
	return fmt.Sprintf("func() %s { if isMutant(%q) { return %s }; return %s }()", cmp.Or(m.Type, "bool"), m.Name, m.Replacement, original)
}
