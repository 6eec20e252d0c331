package dispatch

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// gateway is one replica. cutOff means that it cannot reach the API server.
type gateway struct {
	name          string
	alive, cutOff bool
	renewed       int // time of the last renewal of its Lease
	life          int // counts its processes
	session       *holder
}

// leaseOf returns the last renewal of the Lease of the process that holds s.
func (g *gateway) leaseOf(s *holder) int {
	if s.life != g.life {
		return s.renewed
	}
	return g.renewed
}

// holder is a session in the state of its gateway.
type holder struct {
	gateway       *gateway
	id            string
	life, renewed int
	journal       journal // as sent in Hello
	node          *v1alpha1.Node
	fastAfter     metav1.Time
	recorded      bool
	over          int // version of the Node that Hello was reconciled with
	reset         bool
	forgot        bool // whether the machine had been restored at the time of the dial
	evidence      bool // the journal lacks a dispatch that was reported as accepted
	dialed        int

	d       *v1alpha1.CapabilityDispatch // nil: unknown
	version int

	offered, accepted, settled, cancelled bool
	acceptedBefore                        bool
	before                                *holder // the session that this one replaced; it ends if this one is refused
	result                                *Result
	doing                                 *promise // a write that needs the recorded session

	gone               bool // the stream has ended
	toAgent, toGateway []message
}

func (h *holder) say(kind string) { h.toAgent = append(h.toAgent, message{kind: kind}) }

// dial increments the agent's counter; the gateway receives Hello and replaces its present session.
func (w *world) dial(g *gateway) {
	if !w.agent.up {
		return
	}
	w.cut()
	w.agent.journal.dials++
	if !g.alive || g.cutOff {
		return
	}
	w.sessions++
	h := &holder{gateway: g, id: fmt.Sprint(g.name, w.sessions), life: g.life, journal: w.agent.journal, forgot: w.agent.forgot, dialed: w.now, before: g.session}
	if old := g.session; old != nil {
		if old.recorded && !old.gone && old.journal.id == h.journal.id && h.journal.dials <= old.journal.dials {
			w.noteRival(h)
			return
		}
		h.acceptedBefore = old.accepted
	}
	g.session = h
	if w.hello(h) {
		w.agent.stream = h
	}
}

func (w *world) noteRival(h *holder) {
	last := &w.node.Status
	if SessionOf(w.node).Live() && last.JournalID == fmt.Sprint(h.journal.id) && int64(h.journal.dials) == last.DialCounter {
		w.rival = w.now
		w.nodeAt++
	}
}

// refuse ends this session and restores the last session whose end must still be recorded.
func (h *holder) refuse() {
	for h.gone = true; h != nil && !h.recorded; h = h.before {
		h.gateway.session = h.before
	}
	if h != nil {
		h.gone = true
	}
}

// hello compares the journals and decides about the dispatch; it returns false to refuse the
// session.
func (w *world) hello(h *holder) bool {
	last := w.node.Status
	h.over, h.reset, h.evidence = w.nodeAt, false, false
	if last.JournalID != "" {
		switch live := SessionOf(w.node).Live(); {
		case last.JournalID != fmt.Sprint(h.journal.id) && live && !after(h.dialed).After(last.SessionStartedTime.Time):
			h.refuse()
			return false
		case last.JournalID != fmt.Sprint(h.journal.id):
			h.reset = true
		case int64(h.journal.dials) > last.DialCounter:
			h.reset = !at(w.rival).Before(last.SessionStartedTime)
		case live:
			w.noteRival(h)
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
	h.evidence = !named && (Accepted(w.d.Status) || h.acceptedBefore)
	h.reset = h.reset || (h.evidence && !w.rules.deaf)
	if h.reset {
		if failed := w.rules.reset(w.d, FactsOf(w.node), w.time()); failed != nil {
			w.put("hello of "+h.id, *failed)
			return true
		}
	}
	if named && queued(w.d.Status) {
		w.put("hello of "+h.id, Claim(w.d.Status, h.id, w.time()))
	}
	h.d, h.version = w.d, w.version
	h.offered, h.accepted = named, named
	return true
}

// record records the session if the Node is unchanged; otherwise Hello is evaluated again.
func (w *world) record(g *gateway) {
	h := g.session
	if h == nil || h.recorded || g.cutOff {
		return
	}
	if h.over != w.nodeAt {
		if !w.hello(h) && w.agent.stream == h {
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
	s.SessionID, s.JournalID, s.DialCounter = h.id, fmt.Sprint(h.journal.id), int64(h.journal.dials)
	s.SessionStartedTime, s.SessionEndedTime = metaTime(started), nil
	w.nodeAt++
	w.holder, h.node, h.fastAfter = h, w.node, *metaTime(max(started, w.now))
	w.say("session %s recorded, reset %t", h.id, h.reset)
	if h.forgot && w.d != nil && !h.reset && !h.evidence && !finishedAsReset(w.d.Status) {
		w.excused = true
	}
	if w.agent.stream == h {
		w.agent.forgot = false
	}
	for _, kind := range []string{"result", "cancel"} { // a result that was not settled, or a cancellation
		switch {
		case kind == "result" && h.journal.state == "finished" && !h.journal.settled:
			h.toGateway = append(h.toGateway, message{kind, h.journal.outcome})
		case kind == "cancel" && h.d == nil && w.d != nil && h.journal.state != "":
			h.say("cancel")
		}
	}
}

func finishedAsReset(s v1alpha1.CapabilityDispatchStatus) bool {
	return Finished(s) && s.Error != nil && s.Error.Code == v1alpha1.ErrorJournalReset
}

// gatewayHears handles one message of the machine.
func (w *world) gatewayHears(g *gateway) {
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

// watch delivers the stored state to the gateway.
func (w *world) watch(g *gateway) {
	h := g.session
	if h == nil || !h.recorded || g.cutOff {
		return
	}
	if h.node = w.node; h.node.Status.SessionID != h.id || !SessionOf(h.node).Live() {
		w.leave(g, false)
		return
	}
	if h.node.Spec.DesiredState == v1alpha1.NodeRevoked {
		w.leave(g, true)
		return
	}
	if w.d != nil && (h.d != nil || !Finished(w.d.Status)) {
		h.d, h.version = w.d, w.version
	}
}

// leave ends the session of a gateway: it writes the acceptance and the result, then the end.
func (w *world) leave(g *gateway, end bool) {
	h := g.session
	if h == nil || (g.cutOff && end) {
		return
	}
	if !h.recorded {
		h.refuse()
		return
	}
	if !g.cutOff && h.d != nil {
		w.noteAcceptance(h)
		w.settle(h)
	}
	if w.agent.stream == h {
		w.cut()
	}
	h.gone, g.session = true, nil
	if end && h.recorded && w.node.Status.SessionID == h.id && SessionOf(w.node).Live() {
		w.sessionEnds(h.id, w.now+1)
	}
}
