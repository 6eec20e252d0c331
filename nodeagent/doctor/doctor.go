// Package doctor finds out why a machine is not connected, one check after the other, and
// says what to do next. It changes nothing, and proves nothing to anybody: it shows the
// gateway no certificate.
package doctor

import (
	"context"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/service"
)

// Result is how a check ended.
type Result string

// The results.
const (
	OK Result = "OK"
	// Warning: the agent works, but not as well as it could, or not for long.
	Warning Result = "Warning"
	Failed  Result = "Failed"
	// Skipped: an earlier check failed that this one needs.
	Skipped Result = "Skipped"
)

// Check is one finding.
type Check struct {
	// Name is stable: configuration, identity-dir, disk, identity, service, resolve, port,
	// tls, clock, agent. Of several gateways each has a resolve, port and tls of its own.
	Name   string `json:"name"`
	Result Result `json:"result"`
	// Found is what was seen, Next what to do about it; Next is empty when Result is OK.
	Found string `json:"found"`
	Next  string `json:"next,omitempty"`
}

// Options are what is examined.
type Options struct {
	// ConfigProblem is what is wrong with the configuration, nil when nothing is.
	Config        string
	ConfigProblem error
	// Dir is the identity directory; Pairing is host:port of the pairing listener of a
	// machine that is not paired, may be empty.
	Dir, Pairing string
	// CA is that of the gateways where there is no machine to examine: then the way to Pairing
	// is all that is looked at. Empty: see Dir.
	CA identity.Bundle
	// Service is the service manager; nil, and why.
	Service        service.Manager
	ServiceProblem error
	Now            func() time.Time
}

// timeout bounds each check of the network.
const timeout = 5 * time.Second

// Examine makes every check, in the order in which they build on each other.
func Examine(ctx context.Context, o Options) []Check {
	p := patient{Options: o, bundle: o.CA}
	if p.judges() {
		return append(p.network(ctx), p.clock())
	}
	all := []Check{p.configuration(), p.directory(), p.disk(), p.identity(), p.service(ctx)}
	all = append(all, p.network(ctx)...)
	return append(all, p.clock(), p.agent(ctx))
}

// Healthy tells whether no check failed.
func Healthy(all []Check) bool {
	for _, c := range all {
		if c.Result == Failed {
			return false
		}
	}
	return true
}

func good(name, found string) Check       { return Check{name, OK, found, ""} }
func warn(name, found, next string) Check { return Check{name, Warning, found, next} }
func bad(name, found, next string) Check  { return Check{name, Failed, found, next} }
func skipped(name, because string) Check  { return Check{name, Skipped, because, ""} }
