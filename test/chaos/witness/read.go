package witness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mooring-dev/mooring/test/chaos/check"
)

// extension is the suffix of files with marks; the name of the machine precedes it.
const extension = ".marks"

// MarksPath returns the path of a machine's marks.
func MarksPath(dir, machine string) string { return filepath.Join(dir, machine+extension) }

// ReadMarks returns the marks of all machines of a directory. A machine that never ran a dispatch may
// have no file.
func ReadMarks(dir string) ([]check.Mark, error) {
	paths, err := filepath.Glob(MarksPath(dir, "*"))
	if err != nil {
		return nil, err
	}
	var all []check.Mark
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		machine := filepath.Base(path[:len(path)-len(extension)])
		for line := range bytes.Lines(text) {
			m := check.Mark{}
			if err := json.Unmarshal(line, &m); err != nil {
				return nil, fmt.Errorf("read the mark %q of %s: %w", line, machine, err)
			}
			m.Machine = machine
			all = append(all, m)
		}
	}
	return all, nil
}
