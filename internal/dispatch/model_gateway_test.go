package dispatch

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// gateway is one replica. cutOff means that it cannot reach the API server.
type gateway struct {
	name           string
	alive, cutOff  bool
	leaseRenewedAt int // time of the last renewal of its Lease
	process        int // counts its processes
	session        *gatewaySession
}

// leaseOf returns the last renewal of the Lease of the process that holds s.
func (g *gateway) leaseOf(s *gatewaySession) int {
	if s.process != g.process {
		return s.leaseRenewedAt
	}
	return g.leaseRenewedAt
}

// gatewaySession is a session in the state of its gateway.
type gatewaySession struct {
	gateway                 *gateway
	id                      string
	process, leaseRenewedAt int
	journal                 journal // as sent in Hello
	node                    *v1alpha1.Node
	noClaimAfter            metav1.Time
	recorded                bool
	helloNodeVersion        int // version of the Node that Hello was reconciled with
	reset                   bool
	machineRolledBack       bool // whether the machine had been restored at the time of the dial
	acceptanceMissing       bool // the journal lacks a dispatch that was reported as accepted
	dialedAt                int

	d       *v1alpha1.CapabilityDispatch // nil: unknown
	version int

	offered, accepted, settled, cancelled bool
	acceptedBefore                        bool
	replacedSession                       *gatewaySession // the session that this one replaced; it ends if this one is refused
	result                                *Result
	pendingWrite                          *pendingStatus // a write that needs the recorded session

	streamEnded        bool // the stream has ended
	toAgent, toGateway []message
}

func (h *gatewaySession) sendToAgent(kind string) { h.toAgent = append(h.toAgent, message{kind: kind}) }

// dial increments the agent's counter; the gateway receives Hello and replaces its present session.
func (w *world) dial(g *gateway) {
	if !w.agent.up {
		return
	}
	w.cutStream()
	w.agent.journal.dialCounter++
	if !g.alive || g.cutOff {
		return
	}
	w.sessions++
	h := &gatewaySession{gateway: g, id: fmt.Sprint(g.name, w.sessions), process: g.process, journal: w.agent.journal, machineRolledBack: w.agent.rolledBack, dialedAt: w.now, replacedSession: g.session}
	if old := g.session; old != nil {
		if old.recorded && !old.streamEnded && old.journal.id == h.journal.id && h.journal.dialCounter <= old.journal.dialCounter {
			w.noteJournalConflict(h)
			return
		}
		h.acceptedBefore = old.accepted
	}
	g.session = h
	if w.reconcileHello(h) {
		w.agent.stream = h
	}
}

func (w *world) noteJournalConflict(h *gatewaySession) {
	last := &w.node.Status
	if SessionOf(w.node).Live() && last.JournalID == fmt.Sprint(h.journal.id) && int64(h.journal.dialCounter) == last.DialCounter {
		w.journalConflictAt = w.now
		w.nodeVersion++
	}
}

// refuse ends this session and restores the recorded session that it replaced, whose end must still
// be recorded.
func (h *gatewaySession) refuse() {
	for h.streamEnded = true; h != nil && !h.recorded; h = h.replacedSession {
		h.gateway.session = h.replacedSession
	}
	if h != nil {
		h.streamEnded = true
	}
}

// reconcileHello compares the journals and decides about the dispatch; it returns false to refuse the
// session.
func (w *world) reconcileHello(h *gatewaySession) bool {
	last := w.node.Status
	h.helloNodeVersion, h.reset, h.acceptanceMissing = w.nodeVersion, false, false
	if last.JournalID != "" {
		switch live := SessionOf(w.node).Live(); {
		case last.JournalID != fmt.Sprint(h.journal.id) && live && !after(h.dialedAt).After(last.SessionStartedTime.Time):
			h.refuse()
			return false
		case last.JournalID != fmt.Sprint(h.journal.id):
			h.reset = true
		case int64(h.journal.dialCounter) > last.DialCounter:
			h.reset = !at(w.journalConflictAt).Before(last.SessionStartedTime)
		case live:
			w.noteJournalConflict(h)
			h.refuse()
			return false
		default:
			h.reset = true
		}
	}
	if w.node.Spec.DesiredState == v1alpha1.NodeRevoked {
		h.refuse()
		return false
	}
	h.d = nil
	if w.d == nil || Finished(w.d.Status) {
		return true
	}
	named := h.journal.state != "" && !h.journal.settled
	h.acceptanceMissing = !named && (Accepted(w.d.Status) || h.acceptedBefore)
	h.reset = h.reset || (h.acceptanceMissing && !w.rules.ignoreForgottenAcceptance)
	if h.reset {
		if failed := w.rules.reset(w.d, FactsOf(w.node), w.time()); failed != nil {
			w.writeStatus("hello of "+h.id, *failed)
			return true
		}
	}
	if named && isQueued(w.d.Status) {
		w.writeStatus("hello of "+h.id, Claim(w.d.Status, h.id, w.time()))
	}
	h.d, h.version = w.d, w.version
	h.offered, h.accepted = named, named
	return true
}

// recordSession records the session if the Node is unchanged; otherwise Hello is evaluated again.
func (w *world) recordSession(g *gateway) {
	h := g.session
	if h == nil || h.recorded || g.cutOff {
		return
	}
	if h.helloNodeVersion != w.nodeVersion {
		if !w.reconcileHello(h) && w.agent.stream == h {
			w.agent.stream = nil
		}
		return
	}
	started := w.now
	if ended := w.node.Status.SessionEndedTime; ended != nil && !at(started).After(ended.Time) {
		started = int(ended.Sub(t0).Seconds()) + 1
	}
	h.recorded = true
	w.node = w.node.DeepCopy()
	s := &w.node.Status
	s.SessionID, s.JournalID, s.DialCounter = h.id, fmt.Sprint(h.journal.id), int64(h.journal.dialCounter)
	s.SessionStartedTime, s.SessionEndedTime = metaTime(started), nil
	w.nodeVersion++
	w.recordedSession, h.node, h.noClaimAfter = h, w.node, *metaTime(max(started, w.now))
	w.logf("session %s recorded, reset %t", h.id, h.reset)
	if h.machineRolledBack && w.d != nil && !h.reset && !h.acceptanceMissing && !endedByJournalReset(w.d.Status) {
		w.undetectable = true
	}
	if w.agent.stream == h {
		w.agent.rolledBack = false
	}
	for _, kind := range []string{"result", "cancel"} { // a result that was not settled, or a cancellation
		switch {
		case kind == "result" && h.journal.state == "finished" && !h.journal.settled:
			h.toGateway = append(h.toGateway, message{kind, h.journal.outcome})
		case kind == "cancel" && h.d == nil && w.d != nil && h.journal.state != "":
			h.sendToAgent("cancel")
		}
	}
}

func endedByJournalReset(s v1alpha1.CapabilityDispatchStatus) bool {
	return Finished(s) && s.Error != nil && s.Error.Code == v1alpha1.ErrorJournalReset
}

// handleGatewayMessage handles one message of the machine.
func (w *world) handleGatewayMessage(g *gateway) {
	h := g.session
	if h == nil || !h.recorded || len(h.toGateway) == 0 {
		return
	}
	m := h.toGateway[0]
	h.toGateway = h.toGateway[1:]
	switch {
	case m.kind == "accepted":
		h.accepted = h.accepted || h.offered
	case h.d == nil && g.cutOff: // an unknown result needs a live read: the agent sends it again
	default:
		if h.d == nil {
			h.d, h.version = w.d, w.version
		}
		r := m.result
		h.offered, h.result = true, &r
	}
}

// deliverWatch delivers the stored state to the gateway.
func (w *world) deliverWatch(g *gateway) {
	h := g.session
	if h == nil || !h.recorded || g.cutOff {
		return
	}
	if h.node = w.node; h.node.Status.SessionID != h.id || !SessionOf(h.node).Live() {
		w.endSession(g, false)
		return
	}
	if h.node.Spec.DesiredState == v1alpha1.NodeRevoked {
		w.endSession(g, true)
		return
	}
	if w.d != nil && (h.d != nil || !Finished(w.d.Status)) {
		h.d, h.version = w.d, w.version
	}
}

// endSession ends the session of a gateway: it writes the acceptance and the result, then the end.
func (w *world) endSession(g *gateway, end bool) {
	h := g.session
	if h == nil || (g.cutOff && end) {
		return
	}
	if !h.recorded {
		h.refuse()
		return
	}
	if !g.cutOff && h.d != nil {
		w.writeAcceptance(h)
		w.writeResult(h)
	}
	if w.agent.stream == h {
		w.cutStream()
	}
	h.streamEnded, g.session = true, nil
	if end && h.recorded && w.node.Status.SessionID == h.id && SessionOf(w.node).Live() {
		w.recordSessionEnd(h.id, w.now+1)
	}
}
