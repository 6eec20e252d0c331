package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/test/sim"
)

// minPairingRatio is the least ratio of Mooring's pairing rate to the floor's.
const minPairingRatio = 0.85

// unrelatedResources lists the resources whose writes do not count for a pairing. cert-manager does the
// same work for the floor; the others belong to the namespace or to no pairing in particular.
var unrelatedResources = []string{"leases", "certificaterequests/status", "subjectaccessreviews", "selfsubjectaccessreviews", "tokenreviews",
	"serviceaccounts", "serviceaccounts/token", "namespaces", "configmaps"}

// measurePairingRate measures how many machines pair per second, against a plain client that does the same
// writes.
func measurePairingRate(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.smallSystem(ctx)
	if err != nil {
		return r, err
	}
	own := &pairingArm{system: w}
	defer func() { err = errors.Join(err, own.close()) }()
	before, err := w.readStoredWrites(ctx)
	if err != nil {
		return r, err
	}
	if _, err := own.round(ctx, s.pairings); err != nil { // warms up, and shows the writes
		return r, err
	}
	after, err := w.readStoredWrites(ctx)
	if err != nil {
		return r, err
	}
	plan := after.since(before).perPairing(s.pairings)
	plain, err := newFloor(ctx, own, plan)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, plain.close()) }()
	if _, err := plain.round(ctx, s.pairings); err != nil {
		return r, err
	}
	r.Remark = fmt.Sprintf("Writes of one pairing, the mean of %d: %s.", s.pairings, plan)
	err = s.pairInTurns(ctx, &r, plain, own)
	return r, err
}

// pairer is one of the compared ways to pair.
type pairer interface {
	// round returns the time that the given number of pairings takes.
	round(ctx context.Context, pairings int) (time.Duration, error)
	// workerProcesses returns the processes whose processor time the pairings use.
	workerProcesses(ctx context.Context) (workerPIDs, error)
}

func (s *suite) pairInTurns(ctx context.Context, r *result, plain, own pairer) error {
	var rates [2][]float64
	var used [2]processorUse
	for range s.rounds {
		for i, arm := range []pairer{plain, own} {
			by, err := arm.workerProcesses(ctx)
			if err != nil {
				return err
			}
			err = used[i].measure(by, s.pairings, func() error {
				took, err := arm.round(ctx, s.pairings)
				rates[i] = append(rates[i], float64(s.pairings)/took.Seconds())
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	ratio := ratios(rates[1], rates[0])
	for i, name := range []string{"floor", "Mooring"} {
		r.add(name, formatSpread(rates[i], "%.1f"), formatSpread(ratios(rates[i], rates[0]), "%.2f"), formatSpread(used[i].store, "%.0f"), formatSpread(used[i].others, "%.0f"))
	}
	r.atLeast("pairings per second: Mooring / floor", "%.2f", minPairingRatio, ratio...)
	return nil
}

// signerEvents is the number of Events that cert-manager writes for each CertificateRequest: two
// issuers that wait for the approval, the approval, the certificate.
const signerEvents = 4

// perPairing returns the writes of one pairing.
func (c counts) perPairing(pairings int) counts {
	each := counts{}
	for key, n := range c {
		_, resource, _ := strings.Cut(key, " ")
		each[key] = n / float64(pairings)
		for _, other := range unrelatedResources {
			if resource == other {
				delete(each, key)
			}
		}
	}
	if own := each["POST events"] - signerEvents*each["POST certificaterequests"]; own > 0 {
		each["POST events"] = own
	} else {
		delete(each, "POST events")
	}
	return each
}

// pairingArm pairs machines with Mooring. Each round has its own namespace and source addresses,
// because a gateway limits the pairings of an address.
type pairingArm struct {
	*system
	fleets []*sim.Fleet
}

func (p *pairingArm) round(ctx context.Context, pairings int) (time.Duration, error) {
	c, err := sim.NewClient(p.Cluster.AdminConfig())
	if err != nil {
		return 0, err
	}
	fleet, err := sim.New(ctx, sim.Options{Client: c, Dir: memoryDir, PairingEndpoint: p.PairingEndpoint, NodeEndpoint: p.NodeEndpoint, AddressBlock: len(p.fleets)})
	if err != nil {
		return 0, err
	}
	p.fleets = append(p.fleets, fleet)
	began := time.Now()
	err = fleet.Pair(ctx, pairings, nil)
	return time.Since(began), err
}

func (p *pairingArm) workerProcesses(ctx context.Context) (workerPIDs, error) {
	return workerPIDsOf(ctx, p.Cluster, p.Gateways[0].Pid(), p.Controller.Pid())
}

func (p *pairingArm) close() error {
	var problems []error
	for _, fleet := range p.fleets {
		problems = append(problems, fleet.Close())
	}
	return errors.Join(problems...)
}
