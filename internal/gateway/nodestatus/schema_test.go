package nodestatus

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestSchemasAreStoredInAFormThatYAMLTakes(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"as it is":                   {`{"type":"object"}`, `{"type":"object"}`},
		"white space":                {"{ \"a\" :\n\t1 }", `{"a":1}`},
		"an escaped slash":           {`{"$ref":"a\/b"}`, `{"$ref":"a/b"}`},
		"an escaped surrogate pair":  {`{"a":"\ud83d\ude00"}`, `{"a":"😀"}`},
		"a lone surrogate":           {`{"a":"x\ud83dy"}`, `{"a":"x�y"}`},
		"noncharacters, escaped":     {`{"a":"x\uFFFE\uffffy"}`, `{"a":"x��y"}`},
		"noncharacters":              {"{\"a\":\"x\ufffe\uffff\U0001fffey\"}", `{"a":"x���y"}`},
		"NUL":                        {`{"a":"x\u0000y"}`, `{"a":"x�y"}`},
		"DEL and a C1 control":       {"{\"a\":\"x\x7f\u0085y\"}", `{"a":"x� y"}`},
		"separators of lines":        {"{\"a\":\"x\u2028\u2029y\"}", `{"a":"x  y"}`},
		"line breaks and tabs":       {`{"a":"x\n\ty"}`, `{"a":"x\n\ty"}`},
		"in a key":                   {"{\"x\uffff\x7fy\":1}", `{"x��y":1}`},
		"deep inside":                {"{\"a\":[{\"b\":\"x\uffff\"}]}", `{"a":[{"b":"x�"}]}`},
		"a key twice":                {`{"a":1,"a":2}`, `{"a":2}`},
		"what YAML could misread":    {`{"a":"yes","b":"<<","<<":"0x1f","c":"1e3","d":"2001-01-01"}`, `{"<<":"0x1f","a":"yes","b":"<<","c":"1e3","d":"2001-01-01"}`},
		"a key YAML cannot tell":     {`{"` + strings.Repeat("k", 1100) + `":1}`, ""},
		"a number no float holds":    {`{"a":1e999}`, ""},
		"broken UTF-8":               {"{\"a\":\"\xff\"}", ""},
		"two values":                 {`{}{}`, ""},
		"longer than before its end": {`{"a":"` + strings.Repeat("\x7f", MaxSchemaBytes) + `"}`, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := storedSchema([]byte(c.in), MaxSchemaBytes, NewSchemaVerdicts(), unlimited)
			if err != nil || string(got) != c.want {
				t.Errorf("storedSchema() = %s, %v, want %s", got, err, c.want)
			}
		})
	}
}

// A session checks inputs with a stored schema only if it has the meaning of the declared one.
func TestASchemaThatIsStoredWithOtherTextIsAltered(t *testing.T) {
	var d Description
	err := d.SetCapabilities([]*gatewayv1.Capability{
		{Name: "none"}, {Name: "same", InputSchema: []byte(`{ "title": "a" }`)}, {Name: "altered", InputSchema: []byte(`{"title":"a\u0007"}`)},
	}, NewSchemaVerdicts(), unlimited)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.AlteredSchemas) != 1 || !d.AlteredSchemas["altered"] {
		t.Errorf("altered schemas: %v", d.AlteredSchemas)
	}
}

// FuzzDescribe checks that the parser of a server-side apply (sigs.k8s.io/yaml, strict) reads every
// accepted description with its original values.
func FuzzDescribe(f *testing.F) {
	for _, s := range []string{"pc", "x\ufffe\uffff", "\x7f", "\u0085\u2028\u2029", "\x00", "\xed\xa0\x80", "😀", "\ufeff", `\/`, "a: b\n- c", "'\"", "\U0010ffff"} {
		f.Add(s, s, []byte(`{"a":"`+s+`","`+s+`":1}`))
	}
	for _, s := range []string{`{"a":"\/\ud83d\ude00\ud83d\uffff\u0000"}`, `{"a":1,"a":2}`, `{"<<":{"a":1}}`, `{"a":-0,"b":1e21,"c":18446744073709551616}`, `{"":""}`} {
		f.Add("pc", "words", []byte(s))
	}
	f.Fuzz(func(t *testing.T, hostname, words string, schema []byte) {
		d, err := NewDescription(&gatewayv1.RegisterNodeRequest{
			BootId: hostname, System: &gatewayv1.SystemInfo{Hostname: hostname, Os: words, OsImage: words},
			Capabilities: []*gatewayv1.Capability{{Name: "echo", Description: words, Reason: hostname, InputSchema: schema}},
		}, NewSchemaVerdicts(), unlimited)
		if err != nil {
			return
		}
		body, err := json.Marshal(ApplyBody{Status: Facts{Description: d, Started: noon}.Compose(&v1alpha1.Node{}, noon)})
		if err != nil {
			t.Fatal(err)
		}
		var meant, read any
		if err := json.Unmarshal(body, &meant); err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(body, &read); err != nil {
			t.Fatalf("the API server would refuse %s: %v", body, err)
		}
		if diff := cmp.Diff(meant, read); diff != "" {
			t.Errorf("the API server reads something else (-meant +read):\n%s", diff)
		}
	})
}
