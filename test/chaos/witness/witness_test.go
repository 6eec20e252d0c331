package witness

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/test/chaos/check"
)

func run(t *testing.T, w *Recorder, uid, input string) (json.RawMessage, error) {
	t.Helper()
	return w.Run(t.Context(), capability.Request{DispatchUID: uid, Input: []byte(input), Progress: func(int, string) {}})
}

// The output and the end of a run are on disk under its UID, also when the capability was opened
// again between the runs.
func TestEveryRunLeavesItsMarks(t *testing.T) {
	dir := t.TempDir()
	var outputs []json.RawMessage
	for _, uid := range []string{"a", "b"} {
		w, err := Open(MarksPath(dir, "pc"))
		if err != nil {
			t.Fatal(err)
		}
		output, err := run(t, w, uid, `{"sleepMilliseconds":0,"progress":true}`)
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, output)
	}
	if string(outputs[0]) == string(outputs[1]) {
		t.Errorf("two runs returned the same: %s", outputs[0])
	}
	marks, err := ReadMarks(dir)
	if err != nil || len(marks) != 4 {
		t.Fatalf("%d marks, error %v, want 4", len(marks), err)
	}
	for i, uid := range []string{"a", "b"} {
		begin, end := marks[2*i], marks[2*i+1]
		if begin.UID != uid || begin.Event != check.Start || end.UID != uid || end.Event != check.End ||
			string(end.Output) != string(outputs[i]) || begin.Machine != "pc" || end.Time.Before(begin.Time) {
			t.Errorf("run %s left %+v and %+v", uid, begin, end)
		}
	}
}

func TestARunThatFailsOrIsStoppedSaysSo(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(MarksPath(dir, "pc"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, w, "fails", `{"sleepMilliseconds":0,"fail":true}`); err == nil {
		t.Error("it did not fail")
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Run(stopped, capability.Request{DispatchUID: "stopped", Input: []byte(`{"sleepMilliseconds":60000}`)}); err == nil {
		t.Error("it did not stop")
	}
	marks, err := ReadMarks(dir)
	if err != nil || len(marks) != 4 || marks[1].Error == "" || marks[3].Error == "" {
		t.Errorf("marks %+v, error %v, want two ends with errors", marks, err)
	}
}

// A truncated line is not a mark and causes an error.
func TestADamagedMarkIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(MarksPath(dir, "pc"), []byte(`{"uid":"a","wh`), 0o600); err != nil {
		t.Fatal(err)
	}
	if marks, err := ReadMarks(dir); err == nil {
		t.Errorf("read %+v", marks)
	}
}
