package serviceaccount

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
)

func TestATokenIsReadOnlyWhenItIsBoundAndForUs(t *testing.T) {
	good := func() authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{"mooring"}, User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:machines:agent",
			Extra:    map[string]authenticationv1.ExtraValue{nodeKey: {"worker-1"}},
		}}
	}
	for name, c := range map[string]struct {
		change func(*authenticationv1.TokenReviewStatus)
		says   string
	}{
		"a bound token for us":         {change: func(*authenticationv1.TokenReviewStatus) {}},
		"not authenticated":            {func(s *authenticationv1.TokenReviewStatus) { s.Authenticated, s.Error = false, "expired" }, "expired"},
		"for another audience":         {func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"api"} }, `audience "mooring"`},
		"an authenticator without any": {func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }, `audience "mooring"`},
		"of a person":                  {func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "ada" }, "no ServiceAccount"},
		"of a person with a colon":     {func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "machines:agent" }, "no ServiceAccount"},
		"not bound to a node":          {func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil }, "not bound to a node"},
	} {
		t.Run(name, func(t *testing.T) {
			status := good()
			c.change(&status)
			got, err := read(status, "mooring")
			if c.says == "" {
				if diff := cmp.Diff(Holder{"machines", "agent", "worker-1"}, got); err != nil || diff != "" {
					t.Fatalf("%v\n%s", err, diff)
				}
				return
			}
			refusedWith(t, err, c.says)
		})
	}
}

func TestARuleIsFoundByTheWholeNameOfTheAccount(t *testing.T) {
	holder := Holder{Namespace: "machines", Name: "agent.v2", Node: "worker-1"}
	for name, c := range map[string]struct {
		key, value, says string
	}{
		"its rule":                {key: "machines.agent.v2", value: "fleet: robots\ncapabilities: [echo, system.*]"},
		"a namesake elsewhere":    {"other.agent.v2", "fleet: robots", "no rule admits ServiceAccount machines/agent.v2"},
		"a shorter name":          {"machines.agent", "fleet: robots", "no rule admits"},
		"no fleet":                {"machines.agent.v2", "capabilities: [echo]", "fleet must name a namespace"},
		"a misspelt field":        {"machines.agent.v2", "fleet: robots\ncapability: [echo]", "cannot be read"},
		"the system as a fleet":   {"machines.agent.v2", "fleet: mooring-system", "can be no fleet"},
		"everything as a pattern": {"machines.agent.v2", "fleet: robots\ncapabilities: ['*']", "neither a name"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := find(map[string]string{c.key: c.value}, holder)
			if c.says != "" {
				refusedWith(t, err, c.says)
				return
			}
			want := Rule{Key: c.key, Fleet: "robots", Capabilities: []string{"echo", "system.*"}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		})
	}
}

func TestANodeNameComesFromTheCoreNode(t *testing.T) {
	for core, want := range map[string]string{"worker-1": "worker-1", "ip-10-0-0-1.ec2.internal": "ip-10-0-0-1-ec2-internal"} {
		if got, err := NodeName(core); err != nil || got != want {
			t.Errorf("%s: %q, %v", core, got, err)
		}
	}
	_, err := NodeName(strings.Repeat("x", 64))
	refusedWith(t, err, "pair that machine with a code")
}

func refusedWith(t *testing.T, err error, text string) {
	t.Helper()
	if refused := (*RefusedError)(nil); !errors.As(err, &refused) || !strings.Contains(refused.Text, text) {
		t.Fatalf("got %v, want a refusal with %q", err, text)
	}
}
