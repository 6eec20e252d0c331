package dispatch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// dispatchWithOutputSpace returns a dispatch with an input that leaves exactly room stored bytes
// for its output.
func dispatchWithOutputSpace(t *testing.T, room int) *v1alpha1.CapabilityDispatch {
	t.Helper()
	d := queuedEcho(inPhase(v1alpha1.DispatchSucceeded))
	d.Status.Output, d.Status.OutputTruncated = &v1alpha1.JSON{Raw: []byte(`""`)}, true
	fill := func(bytes int) {
		d.Spec.Input = &v1alpha1.JSON{Raw: []byte(`"` + strings.Repeat("<", bytes/6) + strings.Repeat("a", bytes%6) + `"`)}
	}
	fill(0)
	fill(maxObjectBytes - storedBytes(t, d) - room)
	if got := maxObjectBytes - storedBytes(t, d); got != room {
		t.Fatalf("the input leaves %d bytes, want %d", got, room)
	}
	d.Status.OutputTruncated = false
	return d
}

// markup returns a JSON text that takes exactly that many bytes when it is stored.
func markup(bytes int) []byte {
	bytes -= len(`""`)
	return []byte(`"` + strings.Repeat("<", bytes/6) + strings.Repeat("a", bytes%6) + `"`)
}

func TestAnOutputThatFillsTheRoomIsKeptWhole(t *testing.T) {
	const room = 300_000
	for more, cut := range map[int]bool{0: false, 1: true} {
		d := dispatchWithOutputSpace(t, room)
		d.Status.Output = &v1alpha1.JSON{Raw: markup(room + more)}
		if got := Fit(d, d.Status); got.OutputTruncated != cut {
			t.Errorf("%d bytes more than there is room for: truncated %v, want %v", more, got.OutputTruncated, cut)
		}
	}
}

func TestAnOutputWithoutRoomForACharacterIsLeftOut(t *testing.T) {
	for room, kept := range map[int]bool{len(`""`): false, len(`""`) + 1: true} {
		d := dispatchWithOutputSpace(t, room)
		d.Status.Output = &v1alpha1.JSON{Raw: []byte(`"aaaa"`)}
		if got := Fit(d, d.Status); (got.Output != nil) != kept || !got.OutputTruncated {
			t.Errorf("room for %d bytes: %v, truncated %v", room, got.Output, got.OutputTruncated)
		}
	}
}

// A text that is cut keeps its own beginning; any other value becomes the beginning of its JSON.
func TestTheBeginningOfACutOutputIsItsOwn(t *testing.T) {
	for output, begins := range map[string]string{
		`"` + strings.Repeat("<b>", 80_000) + `"`:       "<b><b>",
		`{"x":"` + strings.Repeat("<b>", 80_000) + `"}`: `{"x":"<b>`,
	} {
		d := dispatchWithOutputSpace(t, 100_000)
		d.Status.Output = &v1alpha1.JSON{Raw: []byte(output)}
		var text string
		if err := json.Unmarshal(Fit(d, d.Status).Output.Raw, &text); err != nil || !strings.HasPrefix(text, begins) {
			t.Errorf("%.12s… becomes %.12s…, %v", output, text, err)
		}
	}
}

func TestKeysOfAnnotationsTakeRoom(t *testing.T) {
	d := queuedEcho(inPhase(v1alpha1.DispatchSucceeded))
	d.Annotations = map[string]string{}
	for i := range 500 {
		d.Annotations[fmt.Sprintf("%0250d", i)] = strings.Repeat("<", 250)
	}
	d.Status.Output = &v1alpha1.JSON{Raw: markup(420_000)}
	if stored := storedBytes(t, d); stored <= maxObjectBytes {
		t.Fatalf("%d bytes have room", stored)
	}
	got := Fit(d, d.Status)
	d.Status = got
	if stored := storedBytes(t, d); !got.OutputTruncated || stored > maxObjectBytes {
		t.Errorf("truncated %v, %d bytes are stored, at most %d may be", got.OutputTruncated, stored, maxObjectBytes)
	}
	if jsontext.StoredSize(got.Output.Raw) < 100_000 {
		t.Error("nearly nothing is left of the output")
	}
}
