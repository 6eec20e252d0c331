package dispatch

import "github.com/mooring-dev/mooring/api/v1alpha1"

// journal is the agent's record of the dispatch on disk.
type journal struct {
	id, dialCounter int
	state           string // "", accepted, running, finished
	outcome         Result
	settled         bool
}

type agent struct {
	up       bool
	journal  journal
	snapshot *journal // a snapshot of the machine
	stream   *gatewaySession
	runs     int
	// rolledBack: since the last recorded session the machine was restored to a state before it
	// accepted or started the dispatch.
	rolledBack bool
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

func (w *world) sendToGateway(m message) {
	if w.agent.stream != nil {
		w.agent.stream.toGateway = append(w.agent.stream.toGateway, m)
	}
}

func (w *world) finishRun(r Result) {
	w.agent.journal.state, w.agent.journal.outcome = "finished", r
	w.sendToGateway(message{"result", r})
}

// handleAgentMessage handles one message of the agent's stream.
func (w *world) handleAgentMessage() {
	s := w.agent.stream
	if s == nil || len(s.toAgent) == 0 {
		return
	}
	m := s.toAgent[0]
	s.toAgent = s.toAgent[1:]
	j := &w.agent.journal
	w.logf("agent receives %s (%s)", m.kind, j.state)
	switch {
	case m.kind == "settled" && j.state == "finished":
		j.settled = true
	case m.kind == "settled" && j.state == "accepted", m.kind == "cancel" && j.state == "accepted":
		w.finishRun(neverRan)
	case m.kind == "settled":
	case j.state == "finished":
		w.sendToGateway(message{"result", j.outcome})
	case m.kind == "cancel" && j.state == "running":
		w.finishRun(Result{Outcome: v1alpha1.DispatchCancelled, Execution: v1alpha1.ExecutionFinished})
	case m.kind == "cancel":
		w.sendToGateway(message{"result", neverRan}) // not in the journal
	case j.state == "" && !w.time().Before(ExpiryTime(w.d)):
		w.finishRun(Result{Outcome: v1alpha1.DispatchTimedOut, Execution: v1alpha1.ExecutionNotStarted, ErrorCode: v1alpha1.ErrorExpired})
	default:
		if j.state == "" {
			j.state = "accepted"
		}
		w.sendToGateway(message{kind: "accepted"})
	}
}

// advanceRun starts or finishes the run.
func (w *world) advanceRun() {
	j := &w.agent.journal
	switch {
	case !w.agent.up:
	case j.state == "accepted" && !w.time().Before(ExpiryTime(w.d)):
		w.finishRun(Result{Outcome: v1alpha1.DispatchTimedOut, Execution: v1alpha1.ExecutionNotStarted, ErrorCode: v1alpha1.ErrorExpired})
	case j.state == "accepted":
		j.state = "running"
		w.agent.runs++
		w.logf("agent runs it")
		w.checkInvariants()
	case j.state == "running":
		w.finishRun(succeeded)
	}
}

// cutStream ends the stream; the gateway notices later and may still receive messages that were in
// transit.
func (w *world) cutStream() {
	if s := w.agent.stream; s != nil {
		s.streamEnded, s.toAgent = true, nil
		s.toGateway = s.toGateway[:w.pick(len(s.toGateway)+1)]
		w.agent.stream = nil
	}
}

// restartAgent crashes the agent and starts it again: nothing runs late, and nothing runs twice.
func (w *world) restartAgent() {
	w.cutStream()
	j := &w.agent.journal
	w.logf("agent restarts (%s)", j.state)
	switch {
	case j.state == "accepted":
		w.finishRun(Result{Outcome: v1alpha1.DispatchFailed, Execution: v1alpha1.ExecutionNotStarted, ErrorCode: v1alpha1.ErrorAgentRestarted})
	case j.state == "running" && w.rules.rerunAfterCrash:
		j.state = "accepted"
	case j.state == "running":
		w.finishRun(restarted)
	}
}

// changeMachine makes one event happen to the machine: a restart, a new disk, a snapshot or its
// restoration.
func (w *world) changeMachine(event int) {
	a := &w.agent
	switch {
	case event == 0:
		w.restartAgent()
	case event == 1:
		w.cutStream()
		a.journal, a.snapshot, a.rolledBack = journal{id: a.journal.id + 1}, nil, false
		w.logf("agent lost its journal")
	case event == 2:
		saved := a.journal
		a.snapshot = &saved
		w.logf("snapshot (%s)", saved.state)
	case a.snapshot != nil && a.snapshot.id == a.journal.id:
		w.cutStream()
		acceptLost := a.journal.state != "" && a.snapshot.state == ""
		startLost := a.runs > 0 && (a.snapshot.state == "" || a.snapshot.state == "accepted")
		a.rolledBack = a.rolledBack || acceptLost || startLost
		a.journal = *a.snapshot
		w.logf("machine is put back (%s, dial %d)", a.snapshot.state, a.snapshot.dialCounter)
		w.restartAgent()
	}
}
