package doctor

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

// TestDoctorNamesTheProxyThatTheConnectionUses uses a gateway that only the proxy can find.
func TestDoctorNamesTheProxyThatTheConnectionUses(t *testing.T) {
	const endpoint = "gateway.invalid:7443"
	g := fakegateway.Start(t)
	proxy := fakegateway.StartProxy(t, map[string]string{endpoint: g.PairingEndpoint})
	t.Setenv("NO_PROXY", "")
	for name, c := range map[string]struct {
		proxy, endpoint string
		want            map[string]Check
	}{
		"a proxy that helps": {"http://user:secret@" + proxy.Address, endpoint, map[string]Check{
			"resolve": {Result: OK, Found: "proxy http://user:xxxxx@" + proxy.Address + " of HTTPS_PROXY resolves gateway.invalid"},
			"port":    {Result: OK, Found: "answers"}, "tls": {Result: OK, Found: "certificate"}}},
		"a proxy that refuses": {"http://user:secret@" + proxy.Address, "other.invalid:7443", map[string]Check{
			"resolve": {Result: OK, Found: "proxy http://user:xxxxx@" + proxy.Address + " of HTTPS_PROXY"},
			"port":    {Result: Failed, Found: "refuses a tunnel to other.invalid:7443 with HTTP status 403"}, "tls": {Result: Skipped}}},
		"a proxy that is away": {"http://user:secret@127.0.0.1:1", endpoint, map[string]Check{
			"resolve": {Result: OK, Found: "proxy http://user:xxxxx@127.0.0.1:1 of HTTPS_PROXY"},
			"port":    {Result: Failed, Found: "connect to proxy http://user:xxxxx@127.0.0.1:1"}, "tls": {Result: Skipped}}},
		"a proxy that is none": {"http://user:1#secret@127.0.0.1:1", endpoint, map[string]Check{
			"resolve": {Result: Failed, Found: "HTTPS_PROXY is not the URL of a proxy"}, "port": {Result: Skipped}, "tls": {Result: Skipped}}},
		"a gateway on loopback": {"http://user:secret@" + proxy.Address, g.PairingEndpoint, map[string]Check{
			"resolve": {Result: OK, Found: "127.0.0.1 is 127.0.0.1"}, "port": {Result: OK, Found: g.PairingEndpoint}, "tls": {Result: OK}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", c.proxy)
			all := RunChecks(t.Context(), Options{Dir: t.TempDir(), Pairing: c.endpoint, ServiceProblem: errors.New("none"), Now: time.Now})
			for check, want := range c.want {
				if got := findCheck(t, all, check); got.Result != want.Result || !strings.Contains(got.Found, want.Found) {
					t.Errorf("%+v, want %+v", got, want)
				}
			}
			if text := fmt.Sprint(all); strings.Contains(text, "secret") {
				t.Errorf("the password is printed: %s", text)
			}
		})
	}
}

func TestDoctorNamesNoProxyForADirectConnection(t *testing.T) {
	for name, environment := range map[string][2]string{
		"no proxy":              {"", ""},
		"a network in NO_PROXY": {"http://user:secret@proxy.invalid:3128", "192.0.2.0/24"},
		"everything direct":     {"http://user:secret@proxy.invalid:3128", "*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HTTPS_PROXY", environment[0])
			t.Setenv("NO_PROXY", environment[1])
			if got, want := checkResolve(t.Context(), "192.0.2.7", "192.0.2.7:7443"), okCheck("resolve", "192.0.2.7 is 192.0.2.7"); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}
