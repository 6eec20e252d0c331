package dispatch

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// step makes one random event happen.
func (w *world) step() {
	g := w.gateways[w.pick(2)]
	switch w.pick(40) {
	case 0, 1, 2, 3:
		w.pass([]int{0, 1, 1, 2, 5, 20, 60}[w.pick(7)])
	case 4, 5:
		w.dial(g)
	case 6, 7, 8, 9:
		w.record(g)
	case 10, 11, 12, 13:
		w.watch(g)
	case 14, 15, 16, 17, 18, 19:
		w.act(g)
	case 20, 21, 22:
		w.agentHears()
	case 23, 24, 25:
		w.gatewayHears(g)
	case 26, 27, 28:
		w.agentWorks()
	case 29:
		w.leaderLooks()
	case 30, 31:
		w.leaderWrites()
	case 32:
		w.leaderBuries()
	case 33:
		w.breakGateway(g, []int{0, 1, 1, 2, 3, 3}[w.pick(6)])
	case 34:
		w.cut()
	case 35:
		if g.session != nil && g.session.gone {
			w.leave(g, true)
		}
	case 36, 37:
		w.machine([]int{0, 0, 1, 2, 2, 3, 3, 3}[w.pick(8)])
	default:
		w.person([]int{0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}[w.pick(16)])
	}
}

// pass advances the time; gateways that can reach the API server renew their Leases meanwhile.
func (w *world) pass(seconds int) {
	w.now += seconds
	for _, g := range w.gateways {
		if g.alive && !g.cutOff {
			g.renewed = w.now
		}
	}
}

// breakGateway cuts a gateway off, reconnects it, kills it or starts it again.
func (w *world) breakGateway(g *gateway, what int) {
	switch {
	case what == 0:
		g.cutOff = true
	case what == 1:
		g.cutOff = false
	case what == 2 && g.alive:
		if g.session != nil {
			g.session.renewed, g.session.gone = g.renewed, true
			if w.agent.stream == g.session {
				w.cut()
			}
		}
		if w.holder != nil && w.holder.gateway == g && w.holder.life == g.life {
			w.holder.renewed = g.renewed
		}
		g.alive, g.session, g.life = false, nil, g.life+1
	case what == 3 && !g.alive:
		g.alive, g.renewed = true, w.now
	}
}

// run makes n random events happen, then repairs everything, after which the dispatch must end.
func (w *world) run(n int) error {
	for range n {
		if w.step(); w.broken != nil {
			return w.broken
		}
	}
	if w.d == nil {
		w.create()
	}
	w.agent.up = w.pick(3) > 0
	for range 60 {
		for _, g := range w.gateways {
			g.cutOff = false
			w.breakGateway(g, 3)
			if g.session != nil && g.session.gone {
				w.leave(g, true)
			}
			w.record(g)
			w.record(g)
			w.watch(g)
			w.gatewayHears(g)
			w.act(g)
			w.act(g)
		}
		if w.agent.up && w.agent.stream == nil {
			w.dial(w.gateways[0])
		}
		if !w.agent.up {
			w.cut()
		}
		w.agentHears()
		w.agentWorks()
		w.leaderBuries()
		w.leaderLooks()
		w.leaderWrites()
		w.pass(20)
		if w.broken != nil {
			return w.broken
		}
	}
	if !Finished(w.d.Status) {
		w.fail("it never ended: %s", w.d.Status.Phase)
	}
	return w.broken
}

const stepsOfALife = 120

// For any events in any order, these rules hold. The dispatch runs at most once. NotStarted is
// written only for a dispatch that never ran. Final values stay. Every dispatch ends.
func TestLifeOfADispatch(t *testing.T) {
	lives := 50
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		lives = 2000
	}
	rapid.Check(t, func(t *rapid.T) {
		for range lives {
			w := newWorld(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "") }, real())
			if err := w.run(stepsOfALife); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(w.history, "\n"))
			}
		}
	})
}

// The model must find planted bugs, which shows that it can find others.
func TestTheModelFindsPlantedBugs(t *testing.T) {
	for name, plant := range map[string]func(*rules){
		"the leader treats every Queued dispatch as unstarted": func(r *rules) {
			r.leaderless = func(d *v1alpha1.CapabilityDispatch, f Facts, now time.Time) LeaderVerdict {
				f.SessionStarted = nil
				return Leaderless(d, f, now)
			}
		},
		"backlog is offered without a claim": func(r *rules) {
			r.needsClaim = func(*v1alpha1.CapabilityDispatch, metav1.Time) bool { return false }
		},
		"a tie with the start of the session needs no claim": func(r *rules) {
			r.needsClaim = func(d *v1alpha1.CapabilityDispatch, s metav1.Time) bool {
				return queued(d.Status) && d.CreationTimestamp.Before(&s)
			}
		},
		"a lost journal resets nothing": func(r *rules) {
			r.reset = func(*v1alpha1.CapabilityDispatch, Facts, time.Time) *v1alpha1.CapabilityDispatchStatus { return nil }
			r.admit = admitAnyway
		},
		"a dispatch that the journal forgot is offered again": func(r *rules) {
			r.deaf, r.admit = true, admitAnyway
		},
		"NotStarted is accepted from an old journal": func(r *rules) {
			r.settle = func(s v1alpha1.CapabilityDispatchStatus, result Result, gateway string, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
				if finishedAsReset(s) && result.Execution == v1alpha1.ExecutionNotStarted && s.Execution == v1alpha1.ExecutionUnknown {
					s = *s.DeepCopy()
					s.Execution = v1alpha1.ExecutionNotStarted
					return s, true
				}
				return Settle(s, result, gateway, now)
			}
		},
		"a result overrules a terminal phase": func(r *rules) {
			r.settle = func(s v1alpha1.CapabilityDispatchStatus, result Result, gateway string, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
				s = *s.DeepCopy()
				s.Phase = v1alpha1.DispatchDispatched
				return Settle(s, result, gateway, now)
			}
		},
		"statuses are written without their version":      func(r *rules) { r.stale = true },
		"an agent repeats a run that a crash interrupted": func(r *rules) { r.rerun = true },
		"the leader never gives up": func(r *rules) {
			r.leaderless = func(d *v1alpha1.CapabilityDispatch, f Facts, now time.Time) LeaderVerdict {
				if !f.Unstarted(d) {
					return LeaderVerdict{}
				}
				return Leaderless(d, f, now)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := real()
			plant(&r)
			for seed := range uint64(200_000) {
				err := life(seed, r)
				if err == nil {
					continue
				}
				t.Logf("life %d: %v", seed, err)
				if err := life(seed, real()); err != nil {
					t.Errorf("the model also fails without the bug: %v", err)
				}
				return
			}
			t.Error("the model did not find the bug")
		})
	}
}

func life(seed uint64, r rules) error {
	return newWorld(rand.New(rand.NewPCG(seed, 1)).IntN, r).run(stepsOfALife)
}

// admitAnyway decides like [Admit], but without the check that the journal forgot an acceptance.
func admitAnyway(d *v1alpha1.CapabilityDispatch, n *v1alpha1.Node, declared []v1alpha1.NodeCapability, now time.Time) Verdict {
	d = d.DeepCopy()
	if !Finished(d.Status) {
		d.Status.Conditions = nil
	}
	return Admit(d, n, declared, now)
}
