package link

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestTheGatewayThatWasLeftComesLastForAWhile(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	all := []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"}
	g := NewGateways(all, func() time.Time { return now })
	firsts := map[string]int{}
	order := func() []string { return g.orderAddresses(slices.Clone(all)) }
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
	g := NewGateways([]string{"both.example:1", "10.0.0.2:1", "nowhere.example:1"}, time.Now)
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
	addresses, problems := g.resolveEndpoints(t.Context())
	if want := []string{"10.0.0.1:1", "10.0.0.2:1", "[2001:db8::1]:1"}; !slices.Equal(addresses, want) {
		t.Errorf("addresses %v, want %v", addresses, want)
	}
	if len(problems) != 1 || !errors.Is(problems[0], errUnknown) {
		t.Errorf("problems %v, want the one of nowhere.example", problems)
	}
}
