package pairing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestEndpointsAreOneOrSeveralAndEachIsChecked(t *testing.T) {
	var many []string
	for i := range MaxEndpoints + 1 {
		many = append(many, fmt.Sprintf("gw-%d:7444", i))
	}
	for list, want := range map[string][]string{
		"gw:7444":                   {"gw:7444"},
		"gw:7444,[::1]:7444":        {"gw:7444", "[::1]:7444"},
		"gw:7444,gw:7445":           {"gw:7444", "gw:7445"},
		"":                          nil,
		"gw:7444,":                  nil,
		",gw:7444":                  nil,
		"gw:7444, other:7444":       nil,
		"gw:7444;other:7444":        nil,
		"gw:7444,gw:7444":           nil,
		"gw:7444,nowhere":           nil,
		strings.Join(many, ","):     nil,
		strings.Join(many[1:], ","): many[1:],
	} {
		got, err := ParseEndpoints(list)
		if (err == nil) != (want != nil) || (err == nil && !slices.Equal(got, want)) {
			t.Errorf("%q reads as %v, %v, want %v", list, got, err, want)
		}
	}
}
