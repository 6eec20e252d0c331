package doctor

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

func findCheck(t *testing.T, all []Check, name string) Check {
	t.Helper()
	for _, c := range all {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %q in %+v", name, all)
	return Check{}
}

// TestAMachineThatWasNeverPaired checks that every failure and warning names a next step. A check
// that depends on a failed one must be skipped and must not fail.
func TestAMachineThatWasNeverPaired(t *testing.T) {
	g := fakegateway.Start(t)
	o := Options{Config: "c.yaml", ConfigProblem: errors.New("c.yaml:2: wrong"), Dir: filepath.Join(t.TempDir(), "id"), Pairing: g.PairingEndpoint,
		ServiceProblem: errors.New("no service manager"), Now: time.Now}
	all := RunChecks(t.Context(), o)
	for name, result := range map[string]Result{"configuration": Failed, "identity-dir": Failed, "disk": Skipped, "identity": Skipped,
		"service": Warning, "resolve": OK, "port": OK, "tls": OK, "clock": OK, "agent": Failed} {
		if c := findCheck(t, all, name); c.Result != result || (c.Result == Failed || c.Result == Warning) && c.Next == "" {
			t.Errorf("%+v, want %s", c, result)
		}
	}
	if Healthy(all) {
		t.Error("it is called healthy")
	}
}

// TestAClockThatIsWrongIsNamed checks that the gateway's certificate bounds the machine's time.
func TestAClockThatIsWrongIsNamed(t *testing.T) {
	g := fakegateway.Start(t)
	for name, c := range map[string]struct {
		off    time.Duration
		result Result
		says   string
	}{
		"right":       {0, OK, "agrees with the certificates"},
		"years late":  {-20 * 365 * 24 * time.Hour, Failed, "before the gateway's certificate began"},
		"years early": {200 * 365 * 24 * time.Hour, Failed, "after the gateway's certificate ended"},
	} {
		t.Run(name, func(t *testing.T) {
			now := func() time.Time { return time.Now().Add(c.off) }
			all := RunChecks(t.Context(), Options{Dir: t.TempDir(), Pairing: g.PairingEndpoint, ServiceProblem: errors.New("none"), Now: now})
			if got := findCheck(t, all, "clock"); got.Result != c.result || !strings.Contains(got.Found, c.says) {
				t.Errorf("%+v, want %s and %q", got, c.result, c.says)
			}
		})
	}
}

func TestAnAddressThatIsNoneIsNamed(t *testing.T) {
	for pairing, want := range map[string]string{"": "give --pairing", "host": "missing port"} {
		c := findCheck(t, RunChecks(t.Context(), Options{Dir: t.TempDir(), Pairing: pairing, ServiceProblem: errors.New("none"), Now: time.Now}), "resolve")
		if !strings.Contains(c.Found+c.Next, want) {
			t.Errorf("%q: %+v", pairing, c)
		}
	}
}
