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

// record holds the newest result of each row. It is stored as JSON beside the page, so that some
// rows can be measured again without losing the others.
type record struct {
	Machine string            `json:"machine"`
	Rows    map[string]result `json:"rows"`
}

// recordPath returns the path of the record that belongs to a page.
func recordPath(page string) string { return strings.TrimSuffix(page, filepath.Ext(page)) + ".json" }

// readRecord reads the record of a page. It returns an empty record when there is none or it is
// from another machine.
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
		fmt.Fprintf(os.Stderr, "%s is from another machine (%s): starting an empty record\n", recordPath(page), kept.Machine)
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

// stamp adds the origin of a result: date, commit, note, rounds and seconds.
func (r *result) stamp(o options, rounds int, took time.Duration) {
	r.Date, r.Commit, r.Note, r.Rounds, r.Seconds = time.Now().UTC().Format("2006-01-02 15:04"), gitCommit(), o.note, rounds, took.Round(time.Second).Seconds()
}

// gitCommit returns the commit that is checked out.
func gitCommit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machineName describes the machine on which the figures were measured.
func machineName() string {
	return fmt.Sprintf("%d processors (%s), %s of memory, %s", runtime.NumCPU(), processorModel(), memorySize(), runtime.Version())
}

// processorModel returns the model name of the machine's processor.
func processorModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, rest, _ := strings.Cut(string(text), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Trim(line, "\t :")
}

func memorySize() string {
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
