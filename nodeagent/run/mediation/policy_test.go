package mediation

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/errorcode"
)

func TestTheFirstRuleThatFitsDecides(t *testing.T) {
	rules, err := parseRules([]byte(`
timeout: 90s
rules:
- {capability: desktop.open_url, target: "https://bad.example.com/**", decision: deny}
- {capability: desktop.open_url, target: "https://*.example.com/**", decision: allow}
- {capability: desktop.open_url, target: "https://one.net/a*", decision: allow}
- {capability: own.*, decision: ask}
- {capability: echo, decision: deny}
`))
	if err != nil || rules.timeout != 90*time.Second {
		t.Fatal(err, rules)
	}
	for _, c := range []struct {
		capability, target string
		needed             bool
		want               Decision
	}{
		{"desktop.open_url", "https://a.example.com/x/y", true, Allow},
		{"desktop.open_url", "https://bad.example.com/x", true, Deny},
		{"desktop.open_url", "https://evil.net/.example.com/x", true, Ask},
		{"desktop.open_url", "https://evil.net/?.example.com/x", true, Ask},
		{"desktop.open_url", "https://one.net/abc", true, Allow},
		{"desktop.open_url", "https://one.net/a/c", true, Ask},
		{"desktop.open_url", "xhttps://one.net/a", true, Ask},
		{"desktop.open_urls", "https://a.example.com/", true, Ask},
		{"own.x", "y\nz", false, Ask},
		{"ownx", "y", false, Allow},
		{"echo", "{}", false, Deny},
		{"system.health", "{}", false, Allow},
		{"other", "", true, Ask},
	} {
		if got := rules.evaluate(Question{Capability: c.capability, Target: c.target, MediationRequired: c.needed}); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.capability, c.target, got, c.want)
		}
	}
	if got := rules.evaluate(Question{Capability: "desktop.open_url", Target: "https://one.net/abc", Warning: "unknown"}); got != Ask {
		t.Errorf("a target with a warning: %s", got)
	}
	if got := rules.evaluate(Question{Capability: "desktop.open_url", Target: "https://bad.example.com/", Warning: "unknown"}); got != Deny {
		t.Errorf("a refused target with a warning: %s", got)
	}
	if got := rules.evaluate(Question{Capability: "system.health", Target: "{}", Warning: "unknown"}); got != Ask {
		t.Errorf("a target with a warning that no rule fits: %s", got)
	}
	for _, broken := range []string{"openPath: {types: [odt]}", "openPath: {types: [.ODT]}", "openPath: {types: ['*']}", "rules: [{capability: a, decision: yes}]", "rules: [{decision: ask}]", "timeout: soon", "rule: []", "rules: [{capability: a*, decision: ask}]", "rules: [{capability: '*.a', decision: ask}]", "timeout: -1s"} {
		if _, err := parseRules([]byte(broken)); err == nil {
			t.Errorf("%s is accepted, want an error", broken)
		}
	}
}

func TestAPolicyOthersCanWriteRefusesEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mediation.yaml")
	if err := errors.Join(os.WriteFile(path, []byte("rules: [{capability: '*', decision: allow}]"), 0o600), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	d := newQueue(t, "")
	d.Rules = func() (*Rules, error) { return LoadRules(path) }
	denied := (*Denied)(nil)
	if err := d.Decide(t.Context(), newQuestion("u"), &memoryStore{}); !errors.As(err, &denied) || denied.Code != errorcode.MediationDenied {
		t.Errorf("got %v", err)
	}
}
