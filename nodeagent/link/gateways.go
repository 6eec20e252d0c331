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

// avoidDuration is the time for which a failed address comes after the other addresses. It is long
// enough to replace a gateway and short enough that machines soon use all gateways again.
const avoidDuration = 5 * time.Minute

// Gateways are the node listeners that a machine can choose from. It is not safe for concurrent
// use.
type Gateways struct {
	endpoints []string
	now       func() time.Time
	lookup    func(ctx context.Context, host string) ([]string, error)
	// avoided maps an address to the time at which it failed or asked the machine to leave.
	avoided map[string]time.Time
}

// NewGateways returns Gateways for the endpoints, each host:port. now may be any clock.
func NewGateways(endpoints []string, now func() time.Time) *Gateways {
	return &Gateways{endpoints: endpoints, now: now, lookup: net.DefaultResolver.LookupHost, avoided: map[string]time.Time{}}
}

// Dial connects to one of the gateways. It tries every address of every name in a random order, so
// that machines spread over the gateways; the avoided addresses come last. Dial goes on with the
// next address when one is unreachable or does not finish its handshake.
func (g *Gateways) Dial(ctx context.Context, config *tls.Config) (*Link, error) {
	addresses, problems := g.resolveEndpoints(ctx)
	for _, address := range g.orderAddresses(addresses) {
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

// Avoid puts an address last for avoidDuration: its gateway failed, or asked the machine to leave.
func (g *Gateways) Avoid(address string) { g.avoided[address] = g.now() }

// resolveEndpoints returns the addresses of the endpoints, host:port, without duplicates.
func (g *Gateways) resolveEndpoints(ctx context.Context) (addresses []string, problems []error) {
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

// orderAddresses shuffles the addresses and puts the avoided ones last, the longest avoided of them
// first.
func (g *Gateways) orderAddresses(addresses []string) []string {
	for address, since := range g.avoided {
		if g.now().Sub(since).Abs() > avoidDuration {
			delete(g.avoided, address)
		}
	}
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	slices.SortStableFunc(addresses, func(a, b string) int { return g.avoided[a].Compare(g.avoided[b]) })
	return addresses
}
