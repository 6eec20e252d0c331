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
	dialer    Dialer
	endpoints []string
	now       func() time.Time
	lookup    func(ctx context.Context, host string) ([]string, error)
	// avoided maps an address to the time at which it failed or asked the machine to leave.
	avoided map[string]time.Time
}

// NewGateways returns Gateways for the endpoints, each host:port. now may be any clock.
func NewGateways(dialer Dialer, endpoints []string, now func() time.Time) *Gateways {
	return &Gateways{dialer: dialer, endpoints: endpoints, now: now, lookup: net.DefaultResolver.LookupHost, avoided: map[string]time.Time{}}
}

// Dial connects to one of the gateways. It tries every address of every name in a random order, so
// that machines spread over the gateways; the avoided addresses come last. Dial goes on with the
// next address when one is unreachable or does not finish its handshake. A proxy gets the name
// itself, because a machine behind a proxy may have no DNS for it.
func (g *Gateways) Dial(ctx context.Context, config *tls.Config) (*Link, error) {
	targets, problems := g.resolveEndpoints(ctx)
	for _, t := range g.orderTargets(targets) {
		l, err := g.dialer.dial(ctx, t, config)
		if err == nil {
			return l, nil
		}
		problems = append(problems, err)
		if ctx.Err() != nil {
			break
		}
		g.Avoid(t.address)
	}
	if len(problems) == 1 {
		return nil, problems[0]
	}
	return nil, errors.Join(problems...)
}

// Avoid puts an address last for avoidDuration: its gateway failed, or asked the machine to leave.
func (g *Gateways) Avoid(address string) { g.avoided[address] = g.now() }

// resolveEndpoints returns the targets of the endpoints, without duplicate addresses.
func (g *Gateways) resolveEndpoints(ctx context.Context) (targets []target, problems []error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	for _, endpoint := range g.endpoints {
		addresses, err := g.addressesOf(ctx, endpoint)
		if err != nil {
			problems = append(problems, err)
		}
		for _, address := range addresses {
			if !slices.ContainsFunc(targets, func(t target) bool { return t.address == address }) {
				targets = append(targets, target{endpoint, address})
			}
		}
	}
	return targets, problems
}

// addressesOf looks up the host of an endpoint, unless a proxy does.
func (g *Gateways) addressesOf(ctx context.Context, endpoint string) (addresses []string, err error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, fmt.Errorf("gateway %s: %w", endpoint, err)
	}
	switch proxy, err := ProxyFor(endpoint); {
	case err != nil:
		return nil, fmt.Errorf("find gateway %s: %w", endpoint, err)
	case proxy != nil:
		return []string{endpoint}, nil
	}
	hosts, err := g.lookup(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("find gateway %s: %w", endpoint, err)
	}
	for _, host := range hosts {
		addresses = append(addresses, net.JoinHostPort(host, port))
	}
	return addresses, nil
}

// orderTargets shuffles the targets and puts the avoided addresses last, the longest avoided of
// them first.
func (g *Gateways) orderTargets(targets []target) []target {
	for address, since := range g.avoided {
		if g.now().Sub(since).Abs() > avoidDuration {
			delete(g.avoided, address)
		}
	}
	rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	slices.SortStableFunc(targets, func(a, b target) int { return g.avoided[a.address].Compare(g.avoided[b.address]) })
	return targets
}
