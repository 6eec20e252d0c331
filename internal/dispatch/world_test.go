package dispatch

import (
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// world models everything that can happen to one dispatch. It contains the dispatch and its Node in
// etcd, two gateways with watches that lag, and a leader. Its machine has an agent that crashes,
// loses its journal or is restored to an earlier state. The functions of this package make all
// decisions. The behaviour of gateways, leader and agent around them is written here a second time,
// as briefly as possible. Time is in whole seconds after t0.
type world struct {
	pick  func(n int) int // random number: 0 <= pick(n) < n
	rules rules

	now      int
	d        *v1alpha1.CapabilityDispatch // nil: not created yet
	version  int                          // of d
	node     *v1alpha1.Node
	nodeAt   int // version of node
	rival    int // time at which a second agent with the live journal was last recorded
	holder   *holder
	gateways []*gateway
	agent    agent
	leading  *promise // the write that the leader is about to make

	sessions int
	// excused: the machine was restored to a time before it accepted or started the dispatch, which
	// cannot be detected outside the machine.
	excused bool
	history []string
	broken  error
}

// rules are the functions and switches that a planted bug may replace.
type rules struct {
	needsClaim func(*v1alpha1.CapabilityDispatch, metav1.Time) bool
	leaderless func(*v1alpha1.CapabilityDispatch, Facts, time.Time) LeaderVerdict
	admit      func(*v1alpha1.CapabilityDispatch, *v1alpha1.Node, []v1alpha1.NodeCapability, time.Time) Verdict
	settle     func(v1alpha1.CapabilityDispatchStatus, Result, string, time.Time) (v1alpha1.CapabilityDispatchStatus, bool)
	reset      func(*v1alpha1.CapabilityDispatch, Facts, time.Time) *v1alpha1.CapabilityDispatchStatus
	// stale: writes ignore the version of the object that they overwrite.
	stale bool
	// rerun: an agent that restarts repeats the interrupted run.
	rerun bool
	// deaf: Hello is not compared with the recorded acceptance.
	deaf bool
}

func real() rules {
	return rules{needsClaim: NeedsClaim, leaderless: Leaderless, admit: Admit, settle: Settle, reset: Reset}
}

// promise is a status decided for one version of the dispatch; it is written only to that version.
type promise struct {
	version int
	status  v1alpha1.CapabilityDispatchStatus
}

var declaredEcho = []v1alpha1.NodeCapability{{Name: "echo", Available: true}}

func newWorld(pick func(int) int, r rules) *world {
	w := &world{pick: pick, rules: r, now: -60, rival: -1000, node: node()}
	w.gateways = []*gateway{{name: "a", alive: true, renewed: w.now}, {name: "b", alive: true, renewed: w.now}}
	w.agent = agent{up: true, journal: journal{id: 1}}
	return w
}

func (w *world) time() time.Time { return after(w.now) }

func (w *world) say(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%4d ", w.now)+fmt.Sprintf(format, args...))
}

// put writes a status, which must satisfy the transition rules of the kind.
func (w *world) put(who string, next v1alpha1.CapabilityDispatchStatus) {
	if err := errors.Join(admits(w.d.Status, next), consistent(next)); err != nil {
		w.fail("%s made a forbidden transition: %v", who, err)
	}
	w.say("%s: %s/%s -> %s/%s", who, w.d.Status.Phase, w.d.Status.Execution, next.Phase, next.Execution)
	w.d = w.d.DeepCopy()
	w.d.Status, w.version = next, w.version+1
	w.check()
}

// keep writes the decided status if the dispatch has not changed since.
func (w *world) keep(who string, p promise) {
	if p.version == w.version || (w.rules.stale && !Finished(w.d.Status)) {
		w.put(who, p.status)
	}
}

func (w *world) fail(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
	}
}

// check verifies the invariants, which hold at any time.
func (w *world) check() {
	if w.excused || w.d == nil {
		return
	}
	if w.agent.ran > 1 {
		w.fail("it ran %d times", w.agent.ran)
	}
	if w.agent.ran > 0 && w.d.Status.Execution == v1alpha1.ExecutionNotStarted {
		w.fail("it ran, and its execution is NotStarted")
	}
}

// sessionEnds records the end of the recorded session, at the given time but not before its start.
func (w *world) sessionEnds(who string, at int) {
	ended := *metaTime(at)
	if ended.Before(w.node.Status.SessionStartedTime) {
		ended = *w.node.Status.SessionStartedTime
	}
	w.node = w.node.DeepCopy()
	w.node.Status.SessionEndedTime = &ended
	w.nodeAt++
	w.say("%s: session %s ended", who, w.node.Status.SessionID)
}

func metaTime(second int) *metav1.Time { return at(second) }

// leaderLooks decides from a dispatch and from a Node that is read after it; the write follows
// later.
func (w *world) leaderLooks() {
	if w.d == nil || w.leading != nil {
		return
	}
	if verdict := w.rules.leaderless(w.d, FactsOf(w.node), w.time()); verdict.Status != nil {
		w.leading = &promise{w.version, *verdict.Status}
	}
}

func (w *world) leaderWrites() {
	if w.leading != nil {
		w.keep("leader", *w.leading)
		w.leading = nil
	}
}

// A gateway's Lease lasts leaseSeconds after a renewal. The leader ends the sessions of the gateway
// orphanGrace after that.
const (
	leaseSeconds = 15
	orphanGrace  = 60
)

// leaderBuries ends the session of a gateway whose Lease has expired.
func (w *world) leaderBuries() {
	if w.holder == nil || !SessionOf(w.node).Live() {
		return
	}
	if end := w.holder.gateway.leaseOf(w.holder) + leaseSeconds; w.now >= end+orphanGrace {
		w.sessionEnds("leader", end)
	}
}

// person makes one event of a person happen: cancel, revoke or create.
func (w *world) person(what int) {
	switch {
	case what == 0 && w.d != nil && !w.d.Spec.Cancel:
		w.d = w.d.DeepCopy()
		w.d.Spec.Cancel, w.version = true, w.version+1
		w.say("person: cancel")
	case what == 1 && w.node.Spec.DesiredState != v1alpha1.NodeRevoked:
		w.node = w.node.DeepCopy()
		w.node.Spec.DesiredState, w.nodeAt = v1alpha1.NodeRevoked, w.nodeAt+1
		w.say("person: revoke")
	case what == 2 && w.d == nil:
		w.create()
	}
}

func (w *world) create() {
	w.d = queuedEcho(func(d *v1alpha1.CapabilityDispatch) { d.CreationTimestamp = *metaTime(w.now) })
	w.version++
	w.say("person: create")
}
