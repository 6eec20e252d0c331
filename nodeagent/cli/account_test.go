package cli

import (
	"strings"
	"testing"
)

func TestTheFlagsOfAPodAreCheckedTogether(t *testing.T) {
	for name, c := range map[string]struct {
		flags flags
		says  string
	}{
		"a token without a CA":   {flags{tokenFile: "/token", pairing: "gw:7443"}, "need each other"},
		"a CA without a token":   {flags{gatewayCA: "/ca", pairing: "gw:7443"}, "need each other"},
		"a code in addition":     {flags{tokenFile: "/token", gatewayCA: "/ca", code: "K7QX2M-482913", pairing: "gw:7443"}, "leave out --code"},
		"no address":             {flags{tokenFile: "/token", gatewayCA: "/ca"}, "needs --pairing"},
		"a CA that is not there": {flags{tokenFile: "/token", gatewayCA: "/no/such/ca", pairing: "gw:7443"}, "/no/such/ca"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.flags.readAccount(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	if account, err := (&flags{}).readAccount(); account != nil || err != nil {
		t.Errorf("nothing given: %v, %v", account, err)
	}
}
