package dispatchtable

import (
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// An invalid input ends a dispatch unless another rule ends or keeps the dispatch.
func TestAnInputThatDoesNotFitEndsOnlyWhatWouldBeOffered(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*v1alpha1.CapabilityDispatch, *v1alpha1.Node)
		code   string // empty if no status is written
	}{
		"it would be offered": {func(*v1alpha1.CapabilityDispatch, *v1alpha1.Node) {}, v1alpha1.ErrorInvalidInput},
		"cancelled":           {func(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node) { d.Spec.Cancel = true }, v1alpha1.ErrorCancelled},
		"it waits":            {func(_ *v1alpha1.CapabilityDispatch, n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeSuspended }, ""},
	} {
		c := newClock()
		h, _, _ := newHarness(c)
		d := newDispatch(c, v1alpha1.DispatchQueued)
		tt.change(d, h.node)
		var decide Decision
		h.run(func() { decide = h.rejectInput("why") })
		status, write := decide(d, h.node, c.Now())
		code := ""
		if status.Error != nil {
			code = status.Error.Code
		}
		if code != tt.code || write != (tt.code != "") {
			t.Errorf("%s: %q, written %t, want %q", name, code, write, tt.code)
		}
	}
}

// The session checks the schemas themselves in its test of the same promise.
func TestOnlyAnInputThatSurelyDoesNotFitIsRefusedHere(t *testing.T) {
	schema := &v1alpha1.JSON{Raw: []byte("schema")}
	for name, tt := range map[string]struct {
		capability, input string
		want              string // empty if the input is valid
	}{
		"it fits":                    {"c", "valid", ""},
		"it does not fit":            {"c", "invalid", `for the test (capability c of node "pc": see inputSchema in its status.capabilities)`},
		"there is none":              {"c", "", "for the test"},
		"no schema":                  {"other", "invalid", ""},
		"an undeclared capability":   {"unheard", "invalid", ""},
		"the schema was changed":     {"altered", "invalid", ""},
		"the last of those declared": {"last", "invalid", "for the test"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, _ := newHarness(c)
			h.declared = []v1alpha1.NodeCapability{{Name: "c", InputSchema: schema}, {Name: "other"}, {Name: "altered", InputSchema: schema}, {Name: "last", InputSchema: schema}}
			h.altered = map[string]bool{"altered": true}
			h.CheckInput = func(schema, input []byte) error {
				if string(schema) != "schema" {
					t.Errorf("schema %q", schema)
				}
				if string(input) == "valid" {
					return nil
				}
				return errTest
			}
			d := newDispatch(c, v1alpha1.DispatchQueued)
			if d.Spec.Capability = tt.capability; tt.input != "" {
				d.Spec.Input = &v1alpha1.JSON{Raw: []byte(tt.input)}
			}
			h.run(func() {
				if got := h.validateInput(d); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
					t.Errorf("validateInput() = %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestTheSchemaOfTheFirstCapabilityCounts(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	h.declared = []v1alpha1.NodeCapability{{Name: "c", InputSchema: &v1alpha1.JSON{Raw: []byte(`{"required":["a"]}`)}}}
	h.CheckInput = func(_, input []byte) error {
		if string(input) != `{}` {
			t.Errorf("a missing input is checked as %s", input)
		}
		return errTest
	}
	d := newDispatch(c, v1alpha1.DispatchQueued)
	d.Spec.Capability = "c"
	h.run(func() {
		if h.validateInput(d) == "" {
			t.Error("an input that does not fit is offered")
		}
	})
}
