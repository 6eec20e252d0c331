// Package doctor finds out why a machine is not connected, one check after the other, and names the
// next step. It changes nothing, and it does not authenticate: it presents no certificate to the
// gateway.
package doctor

import (
	"context"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/service"
)

// Result is the result of a check.
type Result string

// The results.
const (
	OK Result = "OK"
	// Warning means that the agent works, but not as well as it could, or not for long.
	Warning Result = "Warning"
	Failed  Result = "Failed"
	// Skipped means that an earlier check failed which this one needs.
	Skipped Result = "Skipped"
)

// Check is the result of one check.
type Check struct {
	// Name is a stable name: configuration, identity-dir, disk, identity, service, resolve, port,
	// tls, clock, agent. Each of several gateways has its own resolve, port and tls.
	Name   string `json:"name"`
	Result Result `json:"result"`
	// Found is the finding, and Next the next step; Next is empty when Result is OK.
	Found string `json:"found"`
	Next  string `json:"next,omitempty"`
}

// Options select the machine or gateway that is examined.
type Options struct {
	// ConfigProblem is the error of the configuration; nil when there is none.
	Config        string
	ConfigProblem error
	// Dir is the identity directory. Pairing is host:port of the pairing listener for a machine
	// that is not paired; it may be empty.
	Dir, Pairing string
	// CA is the CA bundle of the gateways, for a place without a machine: only the path to Pairing
	// and the clock are then checked. When CA is empty, the machine of Dir is examined.
	CA identity.Bundle
	// Service is the service manager; when it is nil, ServiceProblem is the reason.
	Service        service.Manager
	ServiceProblem error
	Now            func() time.Time
}

// checkTimeout bounds each check of the network.
const checkTimeout = 5 * time.Second

// RunChecks makes all checks, in the order in which they depend on each other.
func RunChecks(ctx context.Context, o Options) []Check {
	p := examination{Options: o, bundle: o.CA}
	if p.hasBundle() {
		return append(p.checkNetwork(ctx), p.checkClock())
	}
	all := []Check{p.checkConfiguration(), p.checkDirectory(), p.checkDisk(), p.checkIdentity(), p.checkService(ctx)}
	all = append(all, p.checkNetwork(ctx)...)
	return append(all, p.checkClock(), p.checkAgent(ctx))
}

// Healthy reports whether no check failed.
func Healthy(all []Check) bool {
	for _, c := range all {
		if c.Result == Failed {
			return false
		}
	}
	return true
}

func okCheck(name, found string) Check            { return Check{name, OK, found, ""} }
func warningCheck(name, found, next string) Check { return Check{name, Warning, found, next} }
func failedCheck(name, found, next string) Check  { return Check{name, Failed, found, next} }
func skippedCheck(name, because string) Check     { return Check{name, Skipped, because, ""} }
