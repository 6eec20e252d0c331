package link

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestTheGatewayThatWasLeftComesLastForAWhile(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	all := []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"}
	g := NewGateways(Dialer{}, all, func() time.Time { return now })
	firsts := map[string]int{}
	order := func() (addresses []string) {
		targets, _ := g.resolveEndpoints(t.Context())
		for _, target := range g.orderTargets(targets) {
			addresses = append(addresses, target.address)
		}
		return addresses
	}
	for range 400 {
		firsts[order()[0]]++
	}
	for _, address := range all {
		if firsts[address] < 40 { // 100 of 400 are expected
			t.Errorf("%s came first %d times of 400: machines do not spread", address, firsts[address])
		}
	}
	g.Avoid(all[0])
	now = now.Add(time.Second)
	g.Avoid(all[1])
	for range 50 {
		if got := order(); got[2] != all[0] || got[3] != all[1] {
			t.Fatalf("order %v, want %s and then %s last", got, all[0], all[1])
		}
	}
	now = now.Add(avoidDuration + time.Second)
	clear(firsts)
	for range 400 {
		firsts[order()[0]]++
	}
	if len(firsts) != len(all) || len(g.avoided) != 0 {
		t.Errorf("after %s these came first: %v; %d are avoided", avoidDuration, firsts, len(g.avoided))
	}
}

func TestEveryAddressOfEveryNameIsTriedOnce(t *testing.T) {
	g := NewGateways(Dialer{}, []string{"both.example:1", "10.0.0.2:1", "nowhere.example:1"}, time.Now)
	errUnknown := errors.New("no such host")
	g.lookup = func(_ context.Context, host string) ([]string, error) {
		switch host {
		case "both.example":
			return []string{"10.0.0.1", "10.0.0.2", "2001:db8::1"}, nil
		case "nowhere.example":
			return nil, errUnknown
		default:
			return []string{host}, nil
		}
	}
	targets, problems := g.resolveEndpoints(t.Context())
	want := []target{{"both.example:1", "10.0.0.1:1"}, {"both.example:1", "10.0.0.2:1"}, {"both.example:1", "[2001:db8::1]:1"}}
	if !slices.Equal(targets, want) {
		t.Errorf("targets %v, want %v", targets, want)
	}
	if len(problems) != 1 || !errors.Is(problems[0], errUnknown) {
		t.Errorf("problems %v, want the one of nowhere.example", problems)
	}
}

// TestTheConfiguredNameDecidesAboutTheProxy checks that a proxy gets the name of a gateway, which
// the machine may not be able to look up. A gateway that NO_PROXY names is dialed directly.
func TestTheConfiguredNameDecidesAboutTheProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("NO_PROXY", "direct.example")
	g := NewGateways(Dialer{}, []string{"direct.example:" + port, "proxied.example:7444"}, time.Now)
	g.lookup = func(_ context.Context, host string) ([]string, error) {
		if host != "direct.example" {
			return nil, errors.New("no such host")
		}
		return []string{"192.0.2.7"}, nil
	}
	targets, problems := g.resolveEndpoints(t.Context())
	want := []target{{"direct.example:" + port, "192.0.2.7:" + port}, {"proxied.example:7444", "proxied.example:7444"}}
	if !slices.Equal(targets, want) || len(problems) != 0 {
		t.Errorf("targets %v, problems %v, want %v", targets, problems, want)
	}
	// The address of the listener alone would be dialed directly, because it is a loopback address.
	conn, err := dialTarget(t.Context(), "tcp", target{"proxied.example:" + port, listener.Addr().String()})
	if err == nil {
		conn.Close()
		t.Error("the address decided about the proxy, want the name")
	}
}

// TestARedialTakesTheWayOfTheFirstDial uses a proxied endpoint at a loopback address, which a new
// decision would dial directly.
func TestARedialTakesTheWayOfTheFirstDial(t *testing.T) {
	g := fakegateway.Start(t)
	proxy := fakegateway.StartProxy(t, map[string]string{g.PairingEndpoint: g.PairingEndpoint})
	t.Setenv("HTTPS_PROXY", "http://"+proxy.Address)
	t.Setenv("NO_PROXY", "")
	first, err := Dialer{}.dial(t.Context(), target{"proxied.example:7444", g.PairingEndpoint}, UnverifiedTLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := first.Redial(t.Context(), UnverifiedTLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if requests := proxy.TakeRequests(); len(requests) != 2 {
		t.Errorf("the proxy was asked %q, want two tunnels", requests)
	}
}
