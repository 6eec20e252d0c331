package machine_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// markup prints about that many bytes of JSON. The API server stores six times as many bytes for
// each of the characters <, > and &.
func markup(before, pattern, after string, bytes string) string {
	return shell(`printf '`+before+`'; yes '`+pattern+`' | tr -d '\n' | head -c `+bytes+`; printf '`+after+`'`) + "\noutput: json"
}

func payload(limit int32) func(*v1alpha1.CapabilityDispatchSpec) {
	return func(s *v1alpha1.CapabilityDispatchSpec) { s.MaxPayloadBytes = limit }
}

// TestAnOutputFullOfMarkupBlocksNothing runs programs whose output is legal and several times as
// large once it is escaped. Each dispatch ends, and the session goes on.
func TestAnOutputFullOfMarkupBlocksNothing(t *testing.T) {
	programs := map[string]string{
		"own.markup": markup(`{"report":"`, "<&>", `"}`, "253000"),
		"own.page":   markup(`{"report":"`, "<a>some text</a>", `"}`, "253000"),
		"own.xml":    shell(`yes '<a b="c">&amp;</a>' | head -c 56000`),
		"own.object": markup(`{"x":"`, "<", `"}`, "91"),
	}
	for _, transport := range []string{"stream", "poll"} {
		t.Run(transport, func(t *testing.T) {
			m := newMachine(t, programs, "--transport", transport)
			session := m.Node(m.node).Status.SessionID
			for _, c := range []struct {
				capability string
				limit      int32
				truncated  bool
				bytes      int // of the string in the output
			}{
				{"own.markup", 262144, true, 0},
				{"own.page", 262144, false, 253000},
				{"own.xml", 65536, false, 56000},
				{"own.object", 120, false, 91},
			} {
				s := m.Ended(m.Ask(m.node, c.capability, map[string]any{}, payload(c.limit))).Status
				if s.Phase != v1alpha1.DispatchSucceeded || s.Execution != v1alpha1.ExecutionFinished || s.OutputTruncated != c.truncated {
					t.Errorf("%s ended %s/%s, truncated %t, error %+v", c.capability, s.Phase, s.Execution, s.OutputTruncated, s.Error)
				}
				if got := longestText(t, s.Output); got < c.bytes {
					t.Errorf("%s: %d bytes are kept, want %d", c.capability, got, c.bytes)
				}
			}
			input := map[string]string{"x": strings.Repeat("<", 100_000)}
			if s := m.Ended(m.Ask(m.node, "echo", input, payload(262144))).Status; s.Phase != v1alpha1.DispatchSucceeded || longestText(t, s.Output) != 100_000 {
				t.Errorf("an input of 100 KB ended %s, error %+v", s.Phase, s.Error)
			}
			if now := m.Node(m.node).Status.SessionID; now != session {
				t.Errorf("the session %s was replaced by %s", session, now)
			}
		})
	}
}

// longestText returns the length of the string that an output is, or that its first property is.
func longestText(t *testing.T, output *v1alpha1.JSON) int {
	t.Helper()
	if output == nil {
		return 0
	}
	var object map[string]string
	var text string
	if json.Unmarshal(output.Raw, &text) != nil && json.Unmarshal(output.Raw, &object) != nil {
		t.Errorf("the output is neither a text nor an object: %.100s", output.Raw)
	}
	for _, value := range object {
		text = value
	}
	return len(text)
}
