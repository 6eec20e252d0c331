package jsontext

import "testing"

func TestJSONTextsAreEqualByValueAndEveryDigit(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":[true,null]}`, ` { "b" : [true, null], "a": 1 } `, true},
		{`"\u00e9"`, `"é"`, true},
		{`9007199254740993`, `9007199254740992`, false},
		{`1`, `1.0`, false},
		{`[1,2]`, `[2,1]`, false},
		{`{"a":1}`, `{"a":1,"b":null}`, false},
		{`{`, `{`, true}, // equal bytes
		{`{`, `[`, false},
	} {
		if got := Equal([]byte(tt.a), []byte(tt.b)); got != tt.want {
			t.Errorf("Equal(%s, %s) = %t, want %t", tt.a, tt.b, got, tt.want)
		}
	}
}
