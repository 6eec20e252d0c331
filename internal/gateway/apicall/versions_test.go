package apicall

import "testing"

func TestNewer(t *testing.T) {
	cases := []struct {
		a, b string
		want bool
	}{{"10", "9", true}, {"9", "10", false}, {"10", "10", false}, {"odd", "10", true}, {"odd", "odd", false}}
	for _, c := range cases {
		if got := IsNewerVersion(c.a, c.b); got != c.want {
			t.Errorf("IsNewerVersion(%s, %s) = %t, want %t", c.a, c.b, got, c.want)
		}
	}
}
