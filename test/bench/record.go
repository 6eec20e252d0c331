package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// record is everything that was measured, newest result of each row; it is kept as JSON beside
// the page, so that some rows can be measured again without losing the others.
type record struct {
	Machine string            `json:"machine"`
	Rows    map[string]result `json:"rows"`
}

// recordPath is where the record of a page is.
func recordPath(page string) string { return strings.TrimSuffix(page, filepath.Ext(page)) + ".json" }

// readRecord reads the record of a page; an empty one when there is none, or none of this machine.
func readRecord(page string) (record, error) {
	empty := record{Machine: machineName(), Rows: map[string]result{}}
	if page == "" {
		return empty, nil
	}
	text, err := os.ReadFile(recordPath(page))
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, err
	}
	var kept record
	if err := json.Unmarshal(text, &kept); err != nil {
		return empty, fmt.Errorf("read %s: %w", recordPath(page), err)
	}
	if kept.Machine != empty.Machine { // figures of two machines do not belong in one table
		fmt.Fprintf(os.Stderr, "%s is of another machine (%s): starting anew\n", recordPath(page), kept.Machine)
		return empty, nil
	}
	return kept, nil
}

// write stores the record and its page.
func (r record) write(page string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(recordPath(page), append(text, '\n'), 0o644); err != nil { //nolint:gosec // a document
		return err
	}
	return os.WriteFile(page, []byte(r.String()), 0o644) //nolint:gosec // a document
}

// stamp says where a result comes from.
func (r *result) stamp(o options, rounds int, took time.Duration) {
	r.Date, r.Commit, r.Note, r.Rounds, r.Seconds = time.Now().UTC().Format("2006-01-02 15:04"), commit(), o.note, rounds, took.Round(time.Second).Seconds()
}

// commit is the one that is checked out.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machineName is what the figures were measured on.
func machineName() string {
	return fmt.Sprintf("%d processors (%s), %s of memory, %s", runtime.NumCPU(), processor(), memory(), runtime.Version())
}

// processor is the model name of the machine's processor.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, rest, _ := strings.Cut(string(text), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Trim(line, "\t :")
}

func memory() string {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "unknown amount"
	}
	var kib int64
	_, rest, _ := strings.Cut(string(text), "MemTotal:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return "unknown amount"
	}
	return fmt.Sprintf("%d GiB", kib>>20)
}
