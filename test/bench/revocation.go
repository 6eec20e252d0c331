package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/sim"
)

const (
	// loadCallers is the number of callers that make the load, each with one dispatch in flight.
	loadCallers = 16
	// cutTimeout is the time after which a revocation that did not end the session counts as
	// failed.
	cutTimeout = 30 * time.Second
)

// revocationMethod is one way to end the trust in a machine.
type revocationMethod struct {
	name, patch string
}

var revocationMethods = []revocationMethod{
	{"desiredState: Revoked", `{"spec":{"desiredState":"Revoked"}}`},
	{"the pin moved", `{"spec":{"publicKeySHA256":"` + strings.Repeat("0", 64) + `"}}`},
}

// measureRevocation measures the time from sending the change to the end of the machine's stream, as the
// machine sees it.
func measureRevocation(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.smallSystem(ctx)
	if err != nil {
		return r, err
	}
	fleet, err := w.startFleet(ctx, s.revoked)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	agents := fleet.Agents()
	each := len(agents) / (len(revocationMethods)*2 + 1)
	rest := agents[len(revocationMethods)*2*each:]
	var slowest []float64
	for _, loaded := range []bool{false, true} {
		stop := func() (int, error) { return 0, nil }
		if loaded {
			stop = w.startLoad(ctx, fleet, rest)
		}
		for _, way := range revocationMethods {
			victims := agents[:each]
			agents = agents[each:]
			all, perRound, err := w.revokeEach(ctx, fleet, way, victims, s.rounds)
			if err != nil {
				return r, err
			}
			p99 := quantilesInMs([][]time.Duration{all}, 0.99)[0]
			slowest = append(slowest, p99)
			r.add(way.name, map[bool]string{false: "idle", true: "loaded"}[loaded], fmt.Sprint(len(all)), formatSpread(quantilesInMs(perRound, 0.5), "%.1f"),
				fmt.Sprintf("%.1f", p99), fmt.Sprintf("%.1f", quantilesInMs([][]time.Duration{all}, 1)[0]))
		}
		if _, err := stop(); err != nil {
			return r, fmt.Errorf("the load: %w", err)
		}
	}
	r.atMost("revocation to closed stream: p99 of the slowest way", "%.0f ms", 2000, slices.Max(slowest))
	for _, a := range rest {
		if !a.Online() {
			return r, fmt.Errorf("%s lost its session although it was not revoked", a.Name)
		}
	}
	return r, nil
}

// revokeEach cuts the victims one after the other and returns their times, together and by round.
func (w *system) revokeEach(ctx context.Context, fleet *sim.Fleet, method revocationMethod, victims []*sim.Agent, rounds int) (all []time.Duration, perRound [][]time.Duration, err error) {
	size := max(len(victims)/rounds, 1)
	for i, victim := range victims {
		took, err := w.revoke(ctx, fleet, method, victim)
		if err != nil {
			return nil, nil, err
		}
		if i%size == 0 && len(perRound) < rounds {
			perRound = append(perRound, nil)
		}
		perRound[len(perRound)-1] = append(perRound[len(perRound)-1], took)
		all = append(all, took)
	}
	return all, perRound, nil
}

func (w *system) revoke(ctx context.Context, fleet *sim.Fleet, method revocationMethod, victim *sim.Agent) (time.Duration, error) {
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.Namespace, Name: victim.Name}}
	began := time.Now()
	if err := w.client.Patch(ctx, node, client.RawPatch(types.MergePatchType, []byte(method.patch))); err != nil {
		return 0, err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < cutTimeout {
		if at, reason := victim.Ended(); at.After(began) {
			if !strings.Contains(reason, "PermissionDenied") {
				return 0, fmt.Errorf("%s ended with %q", victim.Name, reason)
			}
			return at.Sub(began), nil
		}
		<-tick.C
	}
	return 0, fmt.Errorf("%s is still connected %s after it lost its trust", victim.Name, cutTimeout)
}

// startLoad keeps dispatches in flight on machines until the returned function is called, which returns
// how many ended.
func (w *system) startLoad(ctx context.Context, fleet *sim.Fleet, machines []*sim.Agent) (stop func() (int, error)) {
	calls := newCaller(ctx, w.client)
	loading, cancel := context.WithCancel(ctx)
	var (
		callers sync.WaitGroup
		mu      sync.Mutex
		ended   int
		problem error
	)
	for n := range loadCallers {
		callers.Go(func() {
			for i := n; loading.Err() == nil; i += loadCallers {
				_, err := calls.timeDispatch(loading, machine{fleet.Namespace, machines[i%len(machines)].Name})
				mu.Lock()
				if ended++; err != nil && loading.Err() == nil {
					problem = err
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, error) {
		cancel()
		callers.Wait()
		calls.close()
		return ended, problem
	}
}
