package machine_test

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// printMarkup returns a program that prints about the given number of bytes of JSON. The API server stores
// six times as many bytes for each of the characters <, > and &.
func printMarkup(before, pattern, after string, bytes string) string {
	return shellCapability(`printf '`+before+`'; yes '`+pattern+`' | tr -d '\n' | head -c `+bytes+`; printf '`+after+`'`) + "\noutput: json"
}

func withMaxPayload(limit int32) func(*v1alpha1.CapabilityDispatchSpec) {
	return func(s *v1alpha1.CapabilityDispatchSpec) { s.MaxPayloadBytes = limit }
}

// TestAnOutputFullOfMarkupBlocksNothing runs programs whose output is legal and several times as large
// once it is escaped. Each dispatch must end, and the session must continue.
func TestAnOutputFullOfMarkupBlocksNothing(t *testing.T) {
	programs := map[string]string{
		"own.markup": printMarkup(`{"report":"`, "<&>", `"}`, "253000"),
		"own.page":   printMarkup(`{"report":"`, "<a>some text</a>", `"}`, "253000"),
		"own.xml":    shellCapability(`yes '<a b="c">&amp;</a>' | head -c 56000`),
		"own.object": printMarkup(`{"x":"`, "<", `"}`, "91"),
	}
	for _, transport := range []string{"stream", "poll"} {
		t.Run(transport, func(t *testing.T) {
			m := newMachine(t, programs, "--transport", transport)
			session := m.GetNode(m.node).Status.SessionID
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
				s := m.AwaitEnded(m.CreateDispatch(m.node, c.capability, map[string]any{}, withMaxPayload(c.limit))).Status
				if s.Phase != v1alpha1.DispatchSucceeded || s.Execution != v1alpha1.ExecutionFinished || s.OutputTruncated != c.truncated {
					t.Errorf("%s ended %s/%s, truncated %t, error %+v", c.capability, s.Phase, s.Execution, s.OutputTruncated, s.Error)
				}
				if got := longestText(t, s.Output); got < c.bytes {
					t.Errorf("%s: %d bytes are kept, want %d", c.capability, got, c.bytes)
				}
			}
			input := map[string]string{"x": strings.Repeat("<", 100_000)}
			if s := m.AwaitEnded(m.CreateDispatch(m.node, "echo", input, withMaxPayload(262144))).Status; s.Phase != v1alpha1.DispatchSucceeded || longestText(t, s.Output) != 100_000 {
				t.Errorf("an input of 100 KB ended %s, error %+v", s.Phase, s.Error)
			}
			if now := m.GetNode(m.node).Status.SessionID; now != session {
				t.Errorf("the session %s was replaced by %s", session, now)
			}
		})
	}
}

// longestText returns the length of a string output, or of an object's only property.
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

// TestNumbersArriveExactlyOrAreRefused uses numbers beyond int64, which the API server stores as
// float64. A number must reach a program or a status unchanged, or be refused.
func TestNumbersArriveExactlyOrAreRefused(t *testing.T) {
	cases := []struct {
		name, number string
		in, out      bool // the number arrives
	}{
		{"small", "42", true, true},
		{"beyond-double", "9007199254740993", true, true},
		{"largest", "9223372036854775807", true, true},
		{"smallest", "-9223372036854775808", true, true},
		{"fraction", "0.1", true, true},
		{"exponent", "1e3", true, true},
		{"beyond-int64", "9223372036854775808", false, false},
		{"uint64", "18446744073709551615", false, false},
		{"long", "123456789012345678901234567890", false, false},
		{"power", "1e20", false, true},
		{"with-fraction", "9007199254740993.5", true, false}, // the API server rounds it on arrival
	}
	programs := map[string]string{}
	for _, c := range cases {
		programs["own.n-"+c.name] = "argv: [/usr/bin/printf, '%s', '{\"n\":" + c.number + "}']\noutput: json"
	}
	m := newMachine(t, programs)
	for _, c := range cases {
		in := m.AwaitEnded(m.CreateDispatch(m.node, "echo", json.RawMessage(`{"n":`+c.number+`}`))).Status
		if arrived := in.Phase == v1alpha1.DispatchSucceeded; arrived != c.in || (!arrived && in.Error.Code != v1alpha1.ErrorInvalidInput) {
			t.Errorf("%s as input: %s %+v", c.number, in.Phase, in.Error)
		}
		out := m.AwaitEnded(m.CreateDispatch(m.node, "own.n-"+c.name, map[string]any{})).Status
		switch arrived := out.Phase == v1alpha1.DispatchSucceeded; {
		case arrived != c.out, !arrived && out.Error.Code != v1alpha1.ErrorInvalidOutput:
			t.Errorf("%s as output: %s %+v", c.number, out.Phase, out.Error)
		case arrived && !sameNumber(t, out.Output, c.number):
			t.Errorf("%s is stored as %s", c.number, out.Output.Raw)
		}
	}
}

func sameNumber(t *testing.T, output *v1alpha1.JSON, want string) bool {
	t.Helper()
	var object map[string]json.Number
	if err := json.Unmarshal(output.Raw, &object); err != nil {
		t.Fatal(err)
	}
	got, ok := new(big.Rat).SetString(object["n"].String())
	wanted, ok2 := new(big.Rat).SetString(want)
	return ok && ok2 && got.Cmp(wanted) == 0
}
