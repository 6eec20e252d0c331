package dispatch

import "github.com/mooring-dev/mooring/api/v1alpha1"

// journal is the agent's record of the dispatch on disk.
type journal struct {
	id, dials int
	state     string // "", accepted, running, finished
	outcome   Result
	settled   bool
}

type agent struct {
	up      bool
	journal journal
	saved   *journal // a snapshot of the machine
	stream  *holder
	ran     int
	// forgot: since the last recorded session the machine was restored to a state before it
	// accepted or started the dispatch.
	forgot bool
}

var (
	neverRan  = Result{Outcome: v1alpha1.DispatchCancelled, Execution: v1alpha1.ExecutionNotStarted}
	restarted = Result{Outcome: v1alpha1.DispatchFailed, Execution: v1alpha1.ExecutionUnknown, ErrorCode: v1alpha1.ErrorAgentRestarted}
	succeeded = Result{Outcome: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished, Output: []byte(`1`)}
)

// message is sent between a gateway and the agent.
type message struct {
	kind   string // offer, cancel, settled; accepted, result
	result Result
}

func (w *world) tell(m message) {
	if w.agent.stream != nil {
		w.agent.stream.toGateway = append(w.agent.stream.toGateway, m)
	}
}

func (w *world) finish(r Result) {
	w.agent.journal.state, w.agent.journal.outcome = "finished", r
	w.tell(message{"result", r})
}

// agentHears handles one message of the agent's stream.
func (w *world) agentHears() {
	s := w.agent.stream
	if s == nil || len(s.toAgent) == 0 {
		return
	}
	m := s.toAgent[0]
	s.toAgent = s.toAgent[1:]
	j := &w.agent.journal
	w.say("agent receives %s (%s)", m.kind, j.state)
	switch {
	case m.kind == "settled" && j.state == "finished":
		j.settled = true
	case m.kind == "settled" && j.state == "accepted", m.kind == "cancel" && j.state == "accepted":
		w.finish(neverRan)
	case m.kind == "settled":
	case j.state == "finished":
		w.tell(message{"result", j.outcome})
	case m.kind == "cancel" && j.state == "running":
		w.finish(Result{Outcome: v1alpha1.DispatchCancelled, Execution: v1alpha1.ExecutionFinished})
	case m.kind == "cancel":
		w.tell(message{"result", neverRan}) // not in the journal
	case j.state == "" && !w.time().Before(Expires(w.d)):
		w.finish(Result{Outcome: v1alpha1.DispatchTimedOut, Execution: v1alpha1.ExecutionNotStarted, ErrorCode: v1alpha1.ErrorExpired})
	default:
		if j.state == "" {
			j.state = "accepted"
		}
		w.tell(message{kind: "accepted"})
	}
}

// agentWorks starts or finishes the run.
func (w *world) agentWorks() {
	j := &w.agent.journal
	switch {
	case !w.agent.up:
	case j.state == "accepted" && !w.time().Before(Expires(w.d)):
		w.finish(Result{Outcome: v1alpha1.DispatchTimedOut, Execution: v1alpha1.ExecutionNotStarted, ErrorCode: v1alpha1.ErrorExpired})
	case j.state == "accepted":
		j.state = "running"
		w.agent.ran++
		w.say("agent runs it")
		w.check()
	case j.state == "running":
		w.finish(succeeded)
	}
}

// cut ends the stream; the gateway notices later and may still receive messages that were in
// transit.
func (w *world) cut() {
	if s := w.agent.stream; s != nil {
		s.gone, s.toAgent = true, nil
		s.toGateway = s.toGateway[:w.pick(len(s.toGateway)+1)]
		w.agent.stream = nil
	}
}

// restart crashes the agent and starts it again: nothing runs late, and nothing runs twice.
func (w *world) restart() {
	w.cut()
	j := &w.agent.journal
	w.say("agent restarts (%s)", j.state)
	switch {
	case j.state == "accepted":
		w.finish(Result{Outcome: v1alpha1.DispatchFailed, Execution: v1alpha1.ExecutionNotStarted, ErrorCode: v1alpha1.ErrorAgentRestarted})
	case j.state == "running" && w.rules.rerun:
		j.state = "accepted"
	case j.state == "running":
		w.finish(restarted)
	}
}

// machine makes one event happen to the machine: a restart, a new disk, a snapshot or its
// restoration.
func (w *world) machine(what int) {
	a := &w.agent
	switch {
	case what == 0:
		w.restart()
	case what == 1:
		w.cut()
		a.journal, a.saved, a.forgot = journal{id: a.journal.id + 1}, nil, false
		w.say("agent lost its journal")
	case what == 2:
		saved := a.journal
		a.saved = &saved
		w.say("snapshot (%s)", saved.state)
	case a.saved != nil && a.saved.id == a.journal.id:
		w.cut()
		acceptLost := a.journal.state != "" && a.saved.state == ""
		startLost := a.ran > 0 && (a.saved.state == "" || a.saved.state == "accepted")
		a.forgot = a.forgot || acceptLost || startLost
		a.journal = *a.saved
		w.say("machine is put back (%s, dial %d)", a.saved.state, a.saved.dials)
		w.restart()
	}
}
