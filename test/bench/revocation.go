package main

import (
	"context"
	"errors"
	"fmt"
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
	// loadCallers are the callers of the load, each with one dispatch under way.
	loadCallers = 16
	// cutTimeout is when a revocation that did not cut counts as failed.
	cutTimeout = 30 * time.Second
)

// way is one way to withdraw the trust in a machine.
type way struct {
	name, patch string
}

var ways = []way{
	{"desiredState: Revoked", `{"spec":{"desiredState":"Revoked"}}`},
	{"the pin moved", `{"spec":{"publicKeySHA256":"` + strings.Repeat("0", 64) + `"}}`},
}

// revocation is the time from sending the withdrawal to the end of the machine's stream, as the
// machine sees it.
func revocation(ctx context.Context, w *world, o options) (s section, err error) {
	fleet, err := w.fleet(ctx, o.agents)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	s = section{title: "Revocation: API event to closed stream", header: []string{"way", "load", "cut", "p50 ms", "p99 ms", "slowest ms"},
		text: fmt.Sprintf("%d connected agents; one after the other loses its trust. From sending the patch to the end of the stream at the machine.\n"+
			"Loaded: %d dispatches under way all the time, on other machines. Aim: p99 at most 2,000 ms.", o.agents, loadCallers)}
	agents := fleet.Agents()
	each := len(agents) / (len(ways)*2 + 1)
	rest := agents[len(ways)*2*each:]
	for _, loaded := range []bool{false, true} {
		stop := func() (int, error) { return 0, nil }
		if loaded {
			stop = w.load(ctx, fleet, rest)
		}
		for _, way := range ways {
			victims := agents[:each]
			agents = agents[each:]
			line, err := w.withdraw(ctx, fleet, way, victims, o.rounds)
			if err != nil {
				return s, err
			}
			s.add(append([]string{way.name, map[bool]string{false: "idle", true: "loaded"}[loaded]}, line...)...)
		}
		if _, err := stop(); err != nil {
			return s, fmt.Errorf("the load: %w", err)
		}
	}
	for _, a := range rest {
		if !a.Online() {
			return s, fmt.Errorf("%s was cut, and nobody had revoked it", a.Name)
		}
	}
	return s, nil
}

// withdraw cuts the victims one after the other and returns the cells of their times.
func (w *world) withdraw(ctx context.Context, fleet *sim.Fleet, way way, victims []*sim.Agent, rounds int) ([]string, error) {
	var all []time.Duration
	var perRound [][]time.Duration
	size := max(len(victims)/rounds, 1)
	for i, victim := range victims {
		took, err := w.cut(ctx, fleet, way, victim)
		if err != nil {
			return nil, err
		}
		if i%size == 0 && len(perRound) < rounds {
			perRound = append(perRound, nil)
		}
		perRound[len(perRound)-1] = append(perRound[len(perRound)-1], took)
		all = append(all, took)
	}
	p50 := milliseconds(perRound, 0.5)
	return []string{fmt.Sprint(len(all)), spread(p50, "%.1f"), fmt.Sprintf("%.1f", milliseconds([][]time.Duration{all}, 0.99)[0]),
		fmt.Sprintf("%.1f", milliseconds([][]time.Duration{all}, 1)[0])}, nil
}

func (w *world) cut(ctx context.Context, fleet *sim.Fleet, way way, victim *sim.Agent) (time.Duration, error) {
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: fleet.Namespace, Name: victim.Name}}
	began := time.Now()
	if err := w.client.Patch(ctx, node, client.RawPatch(types.MergePatchType, []byte(way.patch))); err != nil {
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

// load keeps dispatches under way on machines until the returned function is called, which tells
// how many ended.
func (w *world) load(ctx context.Context, fleet *sim.Fleet, machines []*sim.Agent) (stop func() (int, error)) {
	calls := newCaller(ctx, w.client, fleet.Namespace)
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
				_, err := calls.call(loading, machines[i%len(machines)].Name)
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
