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

// makeRandomEvent makes one random event happen.
func (w *world) makeRandomEvent() {
	g := w.gateways[w.pick(2)]
	switch w.pick(40) {
	case 0, 1, 2, 3:
		w.advanceTime([]int{0, 1, 1, 2, 5, 20, 60}[w.pick(7)])
	case 4, 5:
		w.dial(g)
	case 6, 7, 8, 9:
		w.recordSession(g)
	case 10, 11, 12, 13:
		w.deliverWatch(g)
	case 14, 15, 16, 17, 18, 19:
		w.takeNextStep(g)
	case 20, 21, 22:
		w.handleAgentMessage()
	case 23, 24, 25:
		w.handleGatewayMessage(g)
	case 26, 27, 28:
		w.advanceRun()
	case 29:
		w.decideAsLeader()
	case 30, 31:
		w.writeAsLeader()
	case 32:
		w.endDeadGatewaySession()
	case 33:
		w.changeGateway(g, []int{0, 1, 1, 2, 3, 3}[w.pick(6)])
	case 34:
		w.cutStream()
	case 35:
		if g.session != nil && g.session.streamEnded {
			w.endSession(g, true)
		}
	case 36, 37:
		w.changeMachine([]int{0, 0, 1, 2, 2, 3, 3, 3}[w.pick(8)])
	default:
		w.actAsPerson([]int{0, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}[w.pick(16)])
	}
}

// advanceTime advances the time; gateways that can reach the API server renew their Leases meanwhile.
func (w *world) advanceTime(seconds int) {
	w.now += seconds
	for _, g := range w.gateways {
		if g.alive && !g.cutOff {
			g.leaseRenewedAt = w.now
		}
	}
}

// changeGateway cuts a gateway off, reconnects it, kills it or starts it again.
func (w *world) changeGateway(g *gateway, event int) {
	switch {
	case event == 0:
		g.cutOff = true
	case event == 1:
		g.cutOff = false
	case event == 2 && g.alive:
		if g.session != nil {
			g.session.leaseRenewedAt, g.session.streamEnded = g.leaseRenewedAt, true
			if w.agent.stream == g.session {
				w.cutStream()
			}
		}
		if w.recordedSession != nil && w.recordedSession.gateway == g && w.recordedSession.process == g.process {
			w.recordedSession.leaseRenewedAt = g.leaseRenewedAt
		}
		g.alive, g.session, g.process = false, nil, g.process+1
	case event == 3 && !g.alive:
		g.alive, g.leaseRenewedAt = true, w.now
	}
}

// run makes n random events happen, then repairs everything, after which the dispatch must end.
func (w *world) run(n int) error {
	for range n {
		if w.makeRandomEvent(); w.failure != nil {
			return w.failure
		}
	}
	if w.d == nil {
		w.createDispatch()
	}
	w.agent.up = w.pick(3) > 0
	for range 60 {
		for _, g := range w.gateways {
			g.cutOff = false
			w.changeGateway(g, 3)
			if g.session != nil && g.session.streamEnded {
				w.endSession(g, true)
			}
			w.recordSession(g)
			w.recordSession(g)
			w.deliverWatch(g)
			w.handleGatewayMessage(g)
			w.takeNextStep(g)
			w.takeNextStep(g)
		}
		if w.agent.up && w.agent.stream == nil {
			w.dial(w.gateways[0])
		}
		if !w.agent.up {
			w.cutStream()
		}
		w.handleAgentMessage()
		w.advanceRun()
		w.endDeadGatewaySession()
		w.decideAsLeader()
		w.writeAsLeader()
		w.advanceTime(20)
		if w.failure != nil {
			return w.failure
		}
	}
	if !Finished(w.d.Status) {
		w.fail("it never ended: %s", w.d.Status.Phase)
	}
	return w.failure
}

const eventsPerLife = 120

// For any events in any order, these rules hold. The dispatch runs at most once. NotStarted is
// written only for a dispatch that never ran. Final values stay. Every dispatch ends.
func TestLifeOfADispatch(t *testing.T) {
	lives := 50
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		lives = 2000
	}
	rapid.Check(t, func(t *rapid.T) {
		for range lives {
			w := newWorld(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "") }, realRules())
			if err := w.run(eventsPerLife); err != nil {
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
				return DecideLeaderless(d, f, now)
			}
		},
		"backlog is offered without a claim": func(r *rules) {
			r.needsClaim = func(*v1alpha1.CapabilityDispatch, metav1.Time) bool { return false }
		},
		"a tie with the start of the session needs no claim": func(r *rules) {
			r.needsClaim = func(d *v1alpha1.CapabilityDispatch, s metav1.Time) bool {
				return isQueued(d.Status) && d.CreationTimestamp.Before(&s)
			}
		},
		"a lost journal resets nothing": func(r *rules) {
			r.reset = func(*v1alpha1.CapabilityDispatch, Facts, time.Time) *v1alpha1.CapabilityDispatchStatus { return nil }
			r.admit = admitAnyway
		},
		"a dispatch that the journal forgot is offered again": func(r *rules) {
			r.ignoreForgottenAcceptance, r.admit = true, admitAnyway
		},
		"NotStarted is accepted from an old journal": func(r *rules) {
			r.settle = func(s v1alpha1.CapabilityDispatchStatus, result Result, gateway string, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
				if endedByJournalReset(s) && result.Execution == v1alpha1.ExecutionNotStarted && s.Execution == v1alpha1.ExecutionUnknown {
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
		"statuses are written without their version":      func(r *rules) { r.ignoreVersion = true },
		"an agent repeats a run that a crash interrupted": func(r *rules) { r.rerunAfterCrash = true },
		"the leader never gives up": func(r *rules) {
			r.leaderless = func(d *v1alpha1.CapabilityDispatch, f Facts, now time.Time) LeaderVerdict {
				if !f.ProvenUnstarted(d) {
					return LeaderVerdict{}
				}
				return DecideLeaderless(d, f, now)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := realRules()
			plant(&r)
			for seed := range uint64(200_000) {
				err := runLife(seed, r)
				if err == nil {
					continue
				}
				t.Logf("life %d: %v", seed, err)
				if err := runLife(seed, realRules()); err != nil {
					t.Errorf("the model also fails without the bug: %v", err)
				}
				return
			}
			t.Error("the model did not find the bug")
		})
	}
}

func runLife(seed uint64, r rules) error {
	return newWorld(rand.New(rand.NewPCG(seed, 1)).IntN, r).run(eventsPerLife)
}

// admitAnyway decides like [Admit], but without the check that the journal forgot an acceptance.
func admitAnyway(d *v1alpha1.CapabilityDispatch, n *v1alpha1.Node, declared []v1alpha1.NodeCapability, now time.Time) Verdict {
	d = d.DeepCopy()
	if !Finished(d.Status) {
		d.Status.Conditions = nil
	}
	return Admit(d, n, declared, now)
}
