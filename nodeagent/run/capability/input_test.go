package capability

import (
	"encoding/json"
	"strings"
	"testing"
)

type schemaCapability struct {
	Echo
	schema string
}

func (s schemaCapability) Name() string            { return "shaped" }
func (s schemaCapability) Schema() json.RawMessage { return json.RawMessage(s.schema) }

func newEntry(t *testing.T, c Capability) *Entry {
	t.Helper()
	r, err := NewRegistry(c)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := r.Get(c.Name())
	return e
}

func TestAnInputIsCheckedBySchemaInWordsForPeople(t *testing.T) {
	e := newEntry(t, schemaCapability{schema: `{"type":"object","additionalProperties":false,"required":["host"],"properties":{
		"host":{"type":"string","format":"hostname"},"port":{"type":"integer","maximum":65535},"deep":{"type":"object","properties":{"x":{"type":"boolean"}}}}}`})
	for input, want := range map[string]string{
		`{"host":"a.example"}`:                    "",
		`{"host":"a.example","port":443}`:         "",
		`{}`:                                      "missing property 'host'",
		`{"host":7}`:                              "host: got number, want string",
		`{"host":"-"}`:                            "hostname",
		`{"host":"a","port":65536}`:               "port: maximum",
		`{"host":"a","port":1.5}`:                 "port: got number, want integer",
		`{"host":"a","more":1}`:                   "'more'",
		`{"host":"a","deep":{"x":1}}`:             "deep.x: got number, want boolean",
		`{"host":"a","host":"b"}`:                 `"host" twice`,
		`{"host":"a","deep":{"x":true,"x":true}}`: `"x" twice`,
		`[]`:                               "must be a JSON object",
		`null`:                             "must be a JSON object",
		`{"host":"a"} {}`:                  "must be a JSON object",
		`{"host":"a"`:                      "must be a JSON object",
		`{"host":"a",}`:                    "must be a JSON object",
		``:                                 "must be a JSON object",
		`{"deep":` + nestedArray(70) + `}`: "nested deeper",
	} {
		err := e.CheckInput(json.RawMessage(input))
		if (err == nil) != (want == "") || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: got %v, want %q", input, err, want)
		}
	}
}

func nestedArray(depth int) string {
	return strings.Repeat("[", depth) + strings.Repeat("]", depth)
}

func TestOwnCapabilitiesComeAndGoAndAreAnnounced(t *testing.T) {
	r, err := NewRegistry(Echo{})
	if err != nil {
		t.Fatal(err)
	}
	all, changed := r.All()
	if len(all) != 1 {
		t.Fatalf("%d capabilities", len(all))
	}
	if err := r.SetOwn(namedCapability{name: "own.a"}, namedCapability{name: "echo"}, namedCapability{name: "own.b"}); err == nil || !strings.Contains(err.Error(), `"echo" is declared twice`) {
		t.Errorf("the name of a fixed one: %v", err)
	}
	select {
	case <-changed:
	default:
		t.Error("the change is not announced")
	}
	if all, _ = r.All(); len(all) != 3 || all[1].Name() != "own.a" {
		t.Errorf("%d capabilities after the change", len(all))
	}
	if err := r.SetOwn(); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Get("own.a"); ok {
		t.Error("own.a is still registered")
	}
}
