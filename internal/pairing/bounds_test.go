package pairing

import (
	"strings"
	"testing"
)

// The tests of this file check every bound with the largest allowed value and with one more.

func TestACodeAmongAsManySpacesAsMayBeIsRead(t *testing.T) {
	for more, ok := range map[int]bool{0: true, 1: false} {
		const code = "K7QX2M-482913"
		if _, err := ParseCode(code + strings.Repeat(" ", maxCodeLength-len(code)+more)); (err == nil) != ok {
			t.Errorf("%d bytes more than may be: %v", more, err)
		}
	}
}

func TestAURIAsLongAsMayBeIsLookedAt(t *testing.T) {
	for more, tooLong := range map[int]bool{0: false, 1: true} {
		_, err := ParseURI("mooring://" + strings.Repeat("x", maxURILength-len("mooring://")+more))
		if err == nil || strings.Contains(err.Error(), "longer than") != tooLong {
			t.Errorf("%d bytes more than may be: %v", more, err)
		}
	}
}

func TestAHostAsLongAsMayBeIsDialled(t *testing.T) {
	label := strings.Repeat("a", 63)
	for host, ok := range map[string]bool{
		label: true, label + "a": false,
		strings.Repeat("a.", 126) + "a": true, strings.Repeat("a.", 126) + "aa": false,
	} {
		if err := CheckEndpoint(host + ":443"); (err == nil) != ok {
			t.Errorf("a host of %d characters: %v", len(host), err)
		}
	}
}
