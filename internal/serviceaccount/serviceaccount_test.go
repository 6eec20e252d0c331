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
			Extra:    map[string]authenticationv1.ExtraValue{nodeKey: {"worker-1"}, nodeUIDKey: {"uid-1"}},
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
		"of a node not there yet":      {func(s *authenticationv1.TokenReviewStatus) { delete(s.User.Extra, nodeUIDKey) }, "start the pod again"},
	} {
		t.Run(name, func(t *testing.T) {
			status := good()
			c.change(&status)
			got, err := parseReview(status, "mooring")
			if c.says == "" {
				if diff := cmp.Diff(Holder{"machines", "agent", "worker-1", "uid-1"}, got); err != nil || diff != "" {
					t.Fatalf("%v\n%s", err, diff)
				}
				return
			}
			refusedWith(t, err, c.says)
		})
	}
}

func TestARuleIsFoundByTheWholeNameOfTheAccount(t *testing.T) {
	const own = "machines.agent.v2"
	holder := Holder{Namespace: "machines", Name: "agent.v2", Node: "worker-1"}
	for name, c := range map[string]struct {
		key, value, says, prefix string
	}{
		"its rule":                {key: own, value: "fleet: robots\ncapabilities: [echo, system.*]"},
		"with a prefix":           {key: own, value: "fleet: robots\nnodePrefix: edge-\ncapabilities: [echo, system.*]", prefix: "edge-"},
		"a namesake elsewhere":    {key: "other.agent.v2", value: "fleet: robots", says: "no rule admits ServiceAccount machines/agent.v2"},
		"a shorter name":          {key: "machines.agent", value: "fleet: robots", says: "no rule admits"},
		"no fleet":                {key: own, value: "capabilities: [echo]", says: "fleet must name a namespace"},
		"a misspelt field":        {key: own, value: "fleet: robots\ncapability: [echo]", says: "cannot be read"},
		"the system as a fleet":   {key: own, value: "fleet: mooring-system", says: "can be no fleet"},
		"everything as a pattern": {key: own, value: "fleet: robots\ncapabilities: ['*']", says: "neither a name"},
		"a prefix in capitals":    {key: own, value: "fleet: robots\nnodePrefix: Edge-", says: `nodePrefix "Edge-" must be`},
		"a prefix with a dot":     {key: own, value: "fleet: robots\nnodePrefix: edge.", says: `nodePrefix "edge." must be`},
		"a prefix that is a dash": {key: own, value: "fleet: robots\nnodePrefix: '-'", says: "not begin with a dash"},
		"a long prefix":           {key: own, value: "fleet: robots\nnodePrefix: " + strings.Repeat("e", 31), says: "at most 30"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := findRule(map[string]string{c.key: c.value}, holder)
			if c.says != "" {
				refusedWith(t, err, c.says)
				return
			}
			want := Rule{Key: c.key, Fleet: "robots", NodePrefix: c.prefix, Capabilities: []string{"echo", "system.*"}}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("%v\n%s", err, diff)
			}
		})
	}
}

func TestANodeNameComesFromTheCoreNode(t *testing.T) {
	long := strings.Repeat("x", 63)
	for name, c := range map[string]struct{ prefix, core, want, says string }{
		"as the core Node":         {core: "worker-1", want: "worker-1"},
		"dots become dashes":       {core: "ip-10-0-0-1.ec2.internal", want: "ip-10-0-0-1-ec2-internal"},
		"with a prefix":            {prefix: "edge-", core: "worker.1", want: "edge-worker-1"},
		"as long as a name may be": {prefix: "e", core: long[:62], want: "e" + long[:62]},
		"a long core Node":         {core: long + "x", says: "pair that machine with a code"},
		"too long with the prefix": {prefix: "e", core: long, says: "shorten nodePrefix of rule machines.agent"},
		"no name of a core Node":   {prefix: "edge-", core: "", says: "gives the name \"edge-\""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Rule{Key: "machines.agent", NodePrefix: c.prefix}.NodeName(c.core)
			if c.says != "" {
				refusedWith(t, err, c.says)
				return
			}
			if err != nil || got != c.want {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func refusedWith(t *testing.T, err error, text string) {
	t.Helper()
	if refused := (*RefusedError)(nil); !errors.As(err, &refused) || !strings.Contains(refused.Text, text) {
		t.Fatalf("got %v, want a refusal with %q", err, text)
	}
}
