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

	now               int
	d                 *v1alpha1.CapabilityDispatch // nil: not created yet
	version           int                          // of d
	node              *v1alpha1.Node
	nodeVersion       int // version of node
	journalConflictAt int // time at which a second agent with the live journal was last recorded
	recordedSession   *gatewaySession
	gateways          []*gateway
	agent             agent
	leaderWrite       *pendingStatus // the write that the leader is about to make

	sessions int
	// undetectable: the machine was restored to a time before it accepted or started the dispatch,
	// which cannot be detected outside the machine.
	undetectable bool
	history      []string
	failure      error
}

// rules are the functions and switches that a planted bug may replace.
type rules struct {
	needsClaim func(*v1alpha1.CapabilityDispatch, metav1.Time) bool
	leaderless func(*v1alpha1.CapabilityDispatch, Facts, time.Time) LeaderVerdict
	admit      func(*v1alpha1.CapabilityDispatch, *v1alpha1.Node, []v1alpha1.NodeCapability, time.Time) Verdict
	settle     func(v1alpha1.CapabilityDispatchStatus, Result, string, time.Time) (v1alpha1.CapabilityDispatchStatus, bool)
	reset      func(*v1alpha1.CapabilityDispatch, Facts, time.Time) *v1alpha1.CapabilityDispatchStatus
	// ignoreVersion: writes ignore the version of the object that they overwrite.
	ignoreVersion bool
	// rerunAfterCrash: an agent that restarts repeats the interrupted run.
	rerunAfterCrash bool
	// ignoreForgottenAcceptance: Hello is not compared with the recorded acceptance.
	ignoreForgottenAcceptance bool
}

func realRules() rules {
	return rules{needsClaim: NeedsClaim, leaderless: DecideLeaderless, admit: Admit, settle: Settle, reset: DecideJournalReset}
}

// pendingStatus is a status decided for one version of the dispatch; it is written only to that
// version.
type pendingStatus struct {
	version int
	status  v1alpha1.CapabilityDispatchStatus
}

var declaredEcho = []v1alpha1.NodeCapability{{Name: "echo", Available: true}}

func newWorld(pick func(int) int, r rules) *world {
	w := &world{pick: pick, rules: r, now: -60, journalConflictAt: -1000, node: node()}
	w.gateways = []*gateway{{name: "a", alive: true, leaseRenewedAt: w.now}, {name: "b", alive: true, leaseRenewedAt: w.now}}
	w.agent = agent{up: true, journal: journal{id: 1}}
	return w
}

func (w *world) time() time.Time { return after(w.now) }

func (w *world) logf(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf("%4d ", w.now)+fmt.Sprintf(format, args...))
}

// writeStatus writes a status, which must satisfy the transition rules of the kind.
func (w *world) writeStatus(writer string, next v1alpha1.CapabilityDispatchStatus) {
	if err := errors.Join(checkTransition(w.d.Status, next), checkConsistent(next)); err != nil {
		w.fail("%s made a forbidden transition: %v", writer, err)
	}
	w.logf("%s: %s/%s -> %s/%s", writer, w.d.Status.Phase, w.d.Status.Execution, next.Phase, next.Execution)
	w.d = w.d.DeepCopy()
	w.d.Status, w.version = next, w.version+1
	w.checkInvariants()
}

// writeIfUnchanged writes the decided status if the dispatch has not changed since.
func (w *world) writeIfUnchanged(writer string, p pendingStatus) {
	if p.version == w.version || (w.rules.ignoreVersion && !Finished(w.d.Status)) {
		w.writeStatus(writer, p.status)
	}
}

func (w *world) fail(format string, args ...any) {
	if w.failure == nil {
		w.failure = fmt.Errorf(format, args...)
	}
}

// checkInvariants verifies the invariants, which hold at any time.
func (w *world) checkInvariants() {
	if w.undetectable || w.d == nil {
		return
	}
	if w.agent.runs > 1 {
		w.fail("it ran %d times", w.agent.runs)
	}
	if w.agent.runs > 0 && w.d.Status.Execution == v1alpha1.ExecutionNotStarted {
		w.fail("it ran, and its execution is NotStarted")
	}
}

// recordSessionEnd records the end of the recorded session, at the given time but not before its
// start.
func (w *world) recordSessionEnd(writer string, at int) {
	ended := *metaTime(at)
	if ended.Before(w.node.Status.SessionStartedTime) {
		ended = *w.node.Status.SessionStartedTime
	}
	w.node = w.node.DeepCopy()
	w.node.Status.SessionEndedTime = &ended
	w.nodeVersion++
	w.logf("%s: session %s ended", writer, w.node.Status.SessionID)
}

func metaTime(second int) *metav1.Time { return at(second) }

// decideAsLeader decides from a dispatch and from a Node that is read after it; the write follows
// later.
func (w *world) decideAsLeader() {
	if w.d == nil || w.leaderWrite != nil {
		return
	}
	if verdict := w.rules.leaderless(w.d, FactsOf(w.node), w.time()); verdict.Status != nil {
		w.leaderWrite = &pendingStatus{w.version, *verdict.Status}
	}
}

func (w *world) writeAsLeader() {
	if w.leaderWrite != nil {
		w.writeIfUnchanged("leader", *w.leaderWrite)
		w.leaderWrite = nil
	}
}

// A gateway's Lease lasts leaseSeconds after a renewal. The leader ends the sessions of the gateway
// orphanGrace after that.
const (
	leaseSeconds = 15
	orphanGrace  = 60
)

// endDeadGatewaySession ends the session of a gateway whose Lease has expired.
func (w *world) endDeadGatewaySession() {
	if w.recordedSession == nil || !SessionOf(w.node).Live() {
		return
	}
	if end := w.recordedSession.gateway.leaseOf(w.recordedSession) + leaseSeconds; w.now >= end+orphanGrace {
		w.recordSessionEnd("leader", end)
	}
}

// actAsPerson makes one event of a person happen: cancel, revoke or create.
func (w *world) actAsPerson(event int) {
	switch {
	case event == 0 && w.d != nil && !w.d.Spec.Cancel:
		w.d = w.d.DeepCopy()
		w.d.Spec.Cancel, w.version = true, w.version+1
		w.logf("person: cancel")
	case event == 1 && w.node.Spec.DesiredState != v1alpha1.NodeRevoked:
		w.node = w.node.DeepCopy()
		w.node.Spec.DesiredState, w.nodeVersion = v1alpha1.NodeRevoked, w.nodeVersion+1
		w.logf("person: revoke")
	case event == 2 && w.d == nil:
		w.createDispatch()
	}
}

func (w *world) createDispatch() {
	w.d = queuedEcho(func(d *v1alpha1.CapabilityDispatch) { d.CreationTimestamp = *metaTime(w.now) })
	w.version++
	w.logf("person: create")
}
