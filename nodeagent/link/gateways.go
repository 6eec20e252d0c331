package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

// avoidFor is how long an address that failed is tried after the others: long enough for a
// gateway to be replaced, short enough that machines spread over all of them again.
const avoidFor = 5 * time.Minute

// Gateways are the node listeners a machine may choose from. Not for concurrent use.
type Gateways struct {
	endpoints []string
	now       func() time.Time
	lookup    func(ctx context.Context, host string) ([]string, error)
	// avoided are addresses that failed or were left, and when.
	avoided map[string]time.Time
}

// NewGateways chooses from endpoints, each host:port; now is any clock.
func NewGateways(endpoints []string, now func() time.Time) *Gateways {
	return &Gateways{endpoints: endpoints, now: now, lookup: net.DefaultResolver.LookupHost, avoided: map[string]time.Time{}}
}

// Dial connects to one of the gateways. Every address of every name counts as one, in an order
// that is drawn anew, so that machines spread over them; what failed or was left lately comes
// last. One that cannot be reached, or does not finish its handshake, gives way to the next.
func (g *Gateways) Dial(ctx context.Context, config *tls.Config) (*Link, error) {
	addresses, problems := g.resolve(ctx)
	for _, address := range g.order(addresses) {
		l, err := Dial(ctx, address, config)
		if err == nil {
			return l, nil
		}
		problems = append(problems, err)
		if ctx.Err() != nil {
			break
		}
		g.Avoid(address)
	}
	if len(problems) == 1 {
		return nil, problems[0]
	}
	return nil, errors.Join(problems...)
}

// Avoid makes an address come last for a while: its gateway failed, or asked to be left.
func (g *Gateways) Avoid(address string) { g.avoided[address] = g.now() }

// resolve finds the addresses behind the endpoints, host:port, none twice.
func (g *Gateways) resolve(ctx context.Context) (addresses []string, problems []error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	for _, endpoint := range g.endpoints {
		host, port, err := net.SplitHostPort(endpoint)
		if err != nil {
			problems = append(problems, fmt.Errorf("gateway %s: %w", endpoint, err))
			continue
		}
		hosts, err := g.lookup(ctx, host)
		if err != nil {
			problems = append(problems, fmt.Errorf("find gateway %s: %w", endpoint, err))
		}
		for _, host := range hosts {
			if address := net.JoinHostPort(host, port); !slices.Contains(addresses, address) {
				addresses = append(addresses, address)
			}
		}
	}
	return addresses, problems
}

// order shuffles the addresses, the avoided ones last, those longest avoided first of them.
func (g *Gateways) order(addresses []string) []string {
	for address, since := range g.avoided {
		if g.now().Sub(since).Abs() > avoidFor {
			delete(g.avoided, address)
		}
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	slices.SortStableFunc(addresses, func(a, b string) int { return g.avoided[a].Compare(g.avoided[b]) })
	return addresses
}
