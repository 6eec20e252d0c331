package dispatch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// storedBytes returns the size of a dispatch in etcd: the JSON of encoding/json, which escapes like
// the API server, and managedFields.
func storedBytes(t *testing.T, d *v1alpha1.CapabilityDispatch) int {
	t.Helper()
	encoded, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return jsontext.StoredSize(encoded)
}

// Each part of a dispatch is within its own limit; all together must not exceed the limit of etcd.
func TestAnOutputIsCutToWhatTheStoreHasRoomForBesideTheInput(t *testing.T) {
	marks := func(n int) string { return `{"x":"` + strings.Repeat("<", n) + `"}` }
	groups := make([]string, 300)
	for i := range groups {
		groups[i] = fmt.Sprintf("%d%s", i, strings.Repeat("&", 700))
	}
	for name, c := range map[string]struct {
		input, output string
		change        func(*v1alpha1.CapabilityDispatch)
		truncated     bool
	}{
		"short":                         {`{}`, `{"a":1}`, nil, false},
		"plain text of full length":     {`{}`, `"` + strings.Repeat("a", 262_000) + `"`, nil, false},
		"plain text with a plain input": {marks(0) + strings.Repeat(" ", 250_000), `"` + strings.Repeat("a", 262_000) + `"`, nil, false},
		"markup":                        {`{}`, marks(250_000), nil, true},
		"a text of markup":              {`{}`, `"` + strings.Repeat("<a>", 83_000) + `"`, nil, false},
		"a longer text of markup":       {`{}`, `"` + strings.Repeat("<>", 130_000) + `"`, nil, true},
		"numbers that grow":             {`{}`, `[` + strings.Repeat(`1e20,`, 52_000) + `1]`, nil, false},
		"numbers that grow, and markup": {marks(100_000), `[` + strings.Repeat(`1e20,`, 52_000) + `1]`, nil, true},
		"keys of markup":                {`{}`, `{"` + strings.Repeat("<", 200_000) + `":1}`, nil, true},
		"many keys":                     {`{}`, `{"a":` + strings.Repeat(`{"<<<<<<<<<<":`, 60) + `1` + strings.Repeat(`}`, 60) + `}`, nil, false},
		"an input of markup":            {marks(150_000), marks(100_000), nil, true},
		"an input without room":         {marks(230_000), `"` + strings.Repeat("a", 100_000) + `"`, nil, true},
		"annotations": {marks(100_000), marks(100_000), func(d *v1alpha1.CapabilityDispatch) {
			d.Annotations = map[string]string{"note": strings.Repeat(">", 100_000)}
		}, true},
		"groups": {`{}`, marks(100_000), func(d *v1alpha1.CapabilityDispatch) { d.Spec.RequestedByGroups = groups }, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := queuedEcho()
			d.Spec.Input = &v1alpha1.JSON{Raw: []byte(c.input)}
			if c.change != nil {
				c.change(d)
			}
			result := Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte(c.output), MaxPayloadBytes: 262144}
			settled, _ := Settle(d.Status, result, "gw", after(1))
			got := Fit(d, settled)
			if got.Phase != v1alpha1.DispatchSucceeded || got.OutputTruncated != c.truncated {
				t.Errorf("%s, truncated %t", got.Phase, got.OutputTruncated)
			}
			d.Status = got
			room := got.Output != nil && len(got.Output.Raw) > len(`""`)
			if stored := storedBytes(t, d); room && stored > maxObjectBytes {
				t.Errorf("the store needs %d bytes for it, at most %d", stored, maxObjectBytes)
			} else if c.truncated && room && len(got.Output.Raw) < len(c.output)-100 && stored < maxObjectBytes-100 {
				t.Errorf("%d bytes of %d are left unused", maxObjectBytes-stored, maxObjectBytes)
			}
		})
	}
}

func TestAStatusThatFitsIsNotChangedAndCostsNothing(t *testing.T) {
	d := queuedEcho()
	d.ObjectMeta = metav1.ObjectMeta{Name: "d", Annotations: map[string]string{"a": "b"}}
	status := v1alpha1.CapabilityDispatchStatus{Output: &v1alpha1.JSON{Raw: []byte(`{"a":"<"}`)}}
	if n := testing.AllocsPerRun(100, func() { Fit(d, status) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := Fit(d, status); string(got.Output.Raw) != `{"a":"<"}` || got.OutputTruncated {
		t.Errorf("%+v", got)
	}
}

// FuzzAnyResultIsStored checks that every reported result gives its dispatch a terminal status that
// the API server can store, together with an input of any length.
func FuzzAnyResultIsStored(f *testing.F) {
	for _, output := range []string{
		"", "null", `"`, "\x00", "\xff", `"\ud800"`, `1e999`, `1e20`, `18446744073709551615`, "{} {}",
		strings.Repeat("[", 70) + strings.Repeat("]", 70), `{"r":"` + strings.Repeat("<&>", 84_000) + `"}`,
		`[` + strings.Repeat(`1e20,`, 52_000) + `1]`, `{"` + strings.Repeat("<", 200_000) + `":1}`, `{"` + strings.Repeat(`":{"`, 40_000),
		strings.Repeat("<", 300_000), `"` + strings.Repeat("\u2028", 80_000) + `"`,
	} {
		f.Add([]byte(output), "Broken", "no paper", uint32(262144), uint32(0), false)
		f.Add([]byte(output), "\x1b", strings.Repeat("<\xff", 3000), uint32(65536), uint32(150_000), true)
	}
	f.Fuzz(func(t *testing.T, output []byte, code, message string, limit, input uint32, cut bool) {
		for _, outcome := range []v1alpha1.DispatchPhase{v1alpha1.DispatchSucceeded, v1alpha1.DispatchFailed, ""} {
			d := queuedEcho()
			d.Spec.Input = &v1alpha1.JSON{Raw: []byte(`{"x":"` + strings.Repeat("<", int(input%200_000)) + `"}`)}
			settled, write := Settle(d.Status, Result{Outcome: outcome, Execution: "Finished", Output: output, ErrorCode: code,
				ErrorMessage: message, Truncated: cut, MaxPayloadBytes: int32(limit % 262145)}, "gw", after(1))
			d.Status = Fit(d, settled)
			if !write || !Finished(d.Status) {
				t.Fatalf("%.60q: %t, phase %s", output, write, d.Status.Phase)
			}
			if d.Status.Output != nil && !json.Valid(d.Status.Output.Raw) {
				t.Fatalf("%.60q is kept as %.60q, no JSON", output, d.Status.Output.Raw)
			}
			if stored := storedBytes(t, d); stored > maxObjectBytes {
				t.Errorf("%.60q: the store needs %d bytes", output, stored)
			}
		}
	})
}
