package capability

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSystemHealthMeasuresThisMachine(t *testing.T) {
	start := time.Now()
	output, err := SystemHealth{}.Run(t.Context(), Request{Input: json.RawMessage("{}")})
	if err != nil {
		t.Fatal(err)
	}
	var got Health
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s after %s", output, time.Since(start))
	switch {
	case got.UptimeSeconds == 0, got.Load == nil, got.Memory == nil || got.Memory.TotalBytes == 0,
		got.CPU == nil || got.CPU.Count == 0, len(got.Disks) == 0 || got.Disks[0].TotalBytes == 0:
		t.Errorf("something is not measured: %s", output)
	}
}

func TestSystemHealthStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (SystemHealth{}).Run(ctx, Request{}); err == nil {
		t.Error("it returned a result after its context ended")
	}
}

func TestCapabilitiesWithoutParametersRefuseThem(t *testing.T) {
	registry, err := NewRegistry(SystemHealth{}, SystemIdentity{})
	if err != nil {
		t.Fatal(err)
	}
	all, _ := registry.All()
	for _, c := range all {
		if err := c.CheckInput(json.RawMessage(`{}`)); err != nil {
			t.Errorf("%s: {} is refused: %v", c.Name(), err)
		}
		if err := c.CheckInput(json.RawMessage(`{"a":1}`)); err == nil || !strings.Contains(err.Error(), "'a'") {
			t.Errorf("%s: a parameter: %v", c.Name(), err)
		}
	}
}

func TestEchoReturnsItsInput(t *testing.T) {
	got, err := Echo{}.Run(t.Context(), Request{Input: json.RawMessage("{ \"a\": [1, 2.50] }")})
	if diff := cmp.Diff(`{"a":[1,2.50]}`, string(got)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestSystemIdentityTellsTheFacts(t *testing.T) {
	got, err := SystemIdentity{Facts: func() (IdentityFacts, error) { return IdentityFacts{ID: "spiffe://x"}, nil }}.Run(t.Context(), Request{})
	if err != nil || !bytes.Contains(got, []byte(`"id":"spiffe://x"`)) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestABoundOutputIsAPrefixThatIsStillJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.String().Draw(t, "text")
		output, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "in a list") {
			output = append(append([]byte{'['}, output...), ']')
			whole = string(output)
		}
		limit := rapid.IntRange(0, 40).Draw(t, "limit")
		kept, truncated := TruncateOutput(output, limit)
		switch {
		case len(kept) > limit:
			t.Fatalf("%d bytes kept of at most %d", len(kept), limit)
		case !truncated && !bytes.Equal(kept, output):
			t.Fatal("changed without being marked")
		case truncated != (len(output) > limit):
			t.Fatalf("truncated %t for %d bytes of at most %d", truncated, len(output), limit)
		case truncated && len(kept) > 0:
			var text string
			if err := json.Unmarshal(kept, &text); err != nil || !utf8.ValidString(text) || !strings.HasPrefix(whole, text) {
				t.Fatalf("kept %q of %q: %v", kept, output, err)
			}
		}
	})
}

type namedCapability struct {
	Echo
	name string
}

func (n namedCapability) Name() string { return n.name }

func TestARegistryRefusesWhatItCannotDeclare(t *testing.T) {
	for name, all := range map[string][]Capability{
		"upper case":   {namedCapability{name: "Echo"}},
		"empty":        {namedCapability{name: ""}},
		"double dot":   {namedCapability{name: "a..b"}},
		"twice":        {namedCapability{name: "a"}, namedCapability{name: "a"}},
		"far too long": {namedCapability{name: strings.Repeat("a", 129)}},
	} {
		if _, err := NewRegistry(all...); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
