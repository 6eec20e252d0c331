package nodestatus

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
)

// unlimited returns true: it is an unlimited allowance of schema bytes.
func TestDeclareRefusesWhatCannotBeStored(t *testing.T) {
	many := make([]*gatewayv1.Capability, capabilityname.MaxDeclared+1)
	for i := range many {
		many[i] = &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i)}
	}
	cases := map[string]struct {
		list []*gatewayv1.Capability
		want string
	}{
		"too many":          {many, "65 capabilities declared, at most 64"},
		"an empty name":     {[]*gatewayv1.Capability{{}}, `capability name ""`},
		"a name with space": {[]*gatewayv1.Capability{{Name: "a b"}}, `capability name "a b"`},
		"a glob":            {[]*gatewayv1.Capability{{Name: "system.*"}}, `capability name "system.*"`},
		"a long name":       {[]*gatewayv1.Capability{{Name: strings.Repeat("a", 129)}}, "at most 128 characters"},
		"a name twice":      {[]*gatewayv1.Capability{{Name: "echo"}, {Name: "echo"}}, "echo is declared twice"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := new(Description).SetCapabilities(c.list, NewSchemaVerdicts(), unlimited)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("declare() = %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestADescriptionMayBeExactlyAsLargeAsItsBounds(t *testing.T) {
	many := make([]*gatewayv1.Capability, capabilityname.MaxDeclared)
	for i := range many {
		many[i] = &gatewayv1.Capability{Name: fmt.Sprintf("%0*d", capabilityname.MaxBytes-1, i)}
		many[i].Name = "c" + many[i].Name
	}
	many[0].Mediation = gatewayv1.Mediation_MEDIATION_LOCAL
	d, err := NewDescription(&gatewayv1.RegisterNodeRequest{BootId: strings.Repeat("b", MaxIDBytes), Capabilities: many}, NewSchemaVerdicts(), unlimited)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Declared) != capabilityname.MaxDeclared || d.Declared[0].Mediation != v1alpha1.MediationLocal || d.Declared[1].Mediation != v1alpha1.MediationNone {
		t.Errorf("%d are declared, mediation %s and %s", len(d.Declared), d.Declared[0].Mediation, d.Declared[1].Mediation)
	}
	if _, err := NewDescription(&gatewayv1.RegisterNodeRequest{BootId: strings.Repeat("b", MaxIDBytes+1)}, NewSchemaVerdicts(), unlimited); err == nil {
		t.Error("a longer boot_id is accepted")
	}
}

// A schema is stored if it is sent within MaxSentSchemasBytes, is at most MaxSchemaBytes long and
// fits into the remaining room.
func TestASchemaMayBeExactlyAsLargeAsItsBounds(t *testing.T) {
	schema := func(size int) []byte { return []byte(`{"d":"` + strings.Repeat("x", size-len(`{"d":""}`)) + `"}`) }
	for size, want := range map[int]bool{MaxSchemaBytes: true, MaxSchemaBytes + 1: false} {
		if _, ok := compactSchema(schema(size), MaxAllSchemasBytes); ok != want {
			t.Errorf("a schema of %d bytes is stored: %t, want %t", size, ok, want)
		}
	}
	for room, want := range map[int]bool{100: true, 99: false} {
		if _, ok := compactSchema(schema(100), room); ok != want {
			t.Errorf("a schema of 100 bytes is stored in %d: %t, want %t", room, ok, want)
		}
	}
	for before, want := range map[int]bool{MaxSentSchemasBytes - 100: true, MaxSentSchemasBytes - 99: false} {
		var d Description
		list := []*gatewayv1.Capability{{Name: "large", InputSchema: schema(before)}, {Name: "next", InputSchema: schema(100)}}
		if err := d.SetCapabilities(list, NewSchemaVerdicts(), unlimited); err != nil {
			t.Fatal(err)
		}
		if got := d.Declared[1].InputSchema != nil; got != want {
			t.Errorf("a schema of 100 bytes after %d is stored: %t, want %t", before, got, want)
		}
	}
}

func TestSchemasThatAreTooLargeOrNoObjectsAreDropped(t *testing.T) {
	large := []byte(`{"d":"` + strings.Repeat("x", MaxSchemaBytes) + `"}`)
	list := []*gatewayv1.Capability{
		{Name: "good", InputSchema: []byte(`{"type":"object"}`)},
		{Name: "large", InputSchema: large}, {Name: "list", InputSchema: []byte(`[1]`)},
		{Name: "broken", InputSchema: []byte(`{`)}, {Name: "null", InputSchema: []byte(`null`)},
	}
	var d Description
	if err := d.SetCapabilities(list, NewSchemaVerdicts(), unlimited); err != nil {
		t.Fatal(err)
	}
	for _, c := range d.Declared {
		if kept := c.InputSchema != nil; kept != (c.Name == "good") {
			t.Errorf("schema of %s kept: %t", c.Name, kept)
		}
	}
	var full []*gatewayv1.Capability
	for i := range 20 {
		full = append(full, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i), InputSchema: []byte(`{"d":"` + strings.Repeat("x", 3000) + `"}`)})
	}
	if err := d.SetCapabilities(full, NewSchemaVerdicts(), unlimited); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, c := range d.Declared {
		if c.InputSchema != nil {
			total += len(c.InputSchema.Raw)
		}
	}
	if total == 0 || total > MaxAllSchemasBytes {
		t.Errorf("%d bytes of schemas are kept, want some and at most %d", total, MaxAllSchemasBytes)
	}
}

func TestWhatAMachineDescribesIsStoredWithoutUnsafeCharacters(t *testing.T) {
	const hostile = "a\u202e\u009b\x1b\u200b\n\xff"
	want := "a\uFFFD\uFFFD\uFFFD\uFFFD \uFFFD"
	d, err := NewDescription(&gatewayv1.RegisterNodeRequest{BootId: hostile, System: &gatewayv1.SystemInfo{Hostname: hostile},
		Capabilities: []*gatewayv1.Capability{{Name: "echo", Description: hostile, Reason: hostile, InputSchema: []byte("{\"a\u202e\":\"b\u200b\"}")}}}, NewSchemaVerdicts(), unlimited)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{d.BootID, d.System.Hostname, d.Declared[0].Description, d.Declared[0].Reason, string(d.Declared[0].InputSchema.Raw)}
	if diff := cmp.Diff([]string{want, want, want, want, `{"a�":"b�"}`}, got); diff != "" {
		t.Error(diff)
	}
}
