package session

import (
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

const (
	codeInvalidOutput = "InvalidOutput"
	// maxRefusals is the number of refusals by a gateway after which a result loses its output.
	maxRefusals = 2
	// settleTimeout is the time for which a result that is sent alone may delay the next one.
	settleTimeout = 5 * time.Second
)

// deliveryQueue decides when the outputs of the journal are sent, over all sessions of an agent. It
// sends each output at once, until a gateway ends a session because of the content of a message.
// From then on it sends outputs one by one, suspects last, so that the next refusal identifies the
// refused output. Results without an output have only bounded parts and are always sent.
type deliveryQueue struct {
	mu sync.Mutex
	// refusals counts, by UID, the sessions that ended while the output was on its way.
	refusals map[string]int
	// oneByOne sends outputs one by one. inFlight is the one on its way, at least until
	// inFlightUntil.
	oneByOne      bool
	inFlight      string
	inFlightUntil time.Time
	// unsettled holds the results sent in this session and not settled; waiting holds the unsent
	// ones.
	unsettled map[string]bool
	waiting   []string
}

func newDeliveryQueue() *deliveryQueue {
	return &deliveryQueue{refusals: map[string]int{}, unsettled: map[string]bool{}}
}

// startSession resets the state for a new session.
func (d *deliveryQueue) startSession() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unsettled, d.waiting, d.inFlight = map[string]bool{}, nil, ""
	d.oneByOne = len(d.refusals) > 0
}

// maySend reports whether a result may be sent now. If not, nextResult returns it later.
func (d *deliveryQueue) maySend(uid string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.oneByOne {
		d.unsettled[uid] = true
		return true
	}
	if !slices.Contains(d.waiting, uid) {
		d.waiting = append(d.waiting, uid)
	}
	return false
}

// nextResult returns a waiting result that may be sent now.
func (d *deliveryQueue) nextResult(now time.Time) (uid string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inFlight != "" && now.Before(d.inFlightUntil) {
		return "", false
	}
	if len(d.waiting) == 0 {
		d.oneByOne = d.oneByOne && len(d.refusals) > 0
		return "", false
	}
	slices.SortStableFunc(d.waiting, func(a, b string) int { return d.refusals[a] - d.refusals[b] })
	uid, d.waiting = d.waiting[0], d.waiting[1:]
	d.inFlight, d.inFlightUntil = uid, now.Add(settleTimeout)
	d.unsettled[uid] = true
	return uid, true
}

// markSettled records that a gateway saved a result, or that the result no longer exists.
func (d *deliveryQueue) markSettled(uid string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.unsettled, uid)
	delete(d.refusals, uid)
	if d.inFlight == uid {
		d.inFlight = ""
	}
}

// endSession records the error that ended a session. It returns the UID of a result that a gateway
// refused for the last allowed time, or "".
func (d *deliveryQueue) endSession(err error) (refused string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if code := status.Code(err); code != codes.ResourceExhausted && code != codes.InvalidArgument {
		return ""
	}
	alone := len(d.unsettled) == 1
	for uid := range d.unsettled {
		if alone || d.refusals[uid] == 0 {
			d.refusals[uid]++
		}
		if d.refusals[uid] >= maxRefusals {
			delete(d.refusals, uid)
			return uid
		}
	}
	return ""
}

// dropOutput replaces the outcome of a run by one without the output, which every gateway refuses.
func (r *Runner) dropOutput(uid string) {
	entry, known, err := r.Journal.Lookup(uid)
	if err == nil && known && entry.Outcome != nil && !entry.Settled {
		outcome := *entry.Outcome
		outcome.Result, outcome.ErrorCode, outcome.ErrorMessage = journal.Failed, codeInvalidOutput, "the gateway refused the result"
		outcome.Output, outcome.OutputTruncated = nil, false
		err = r.Journal.ReplaceOutcome(uid, outcome)
	}
	r.Log.Error("the gateway refused a result again; its output is dropped", "dispatch", uid, "error", err)
}

// Finished sends an outcome to the gateway until it is settled.
func (s *session) Finished(entry journal.Entry) {
	if len(entry.Outcome.Output) == 0 || s.deliveries.maySend(entry.Dispatch.UID) {
		s.sendResult(entry)
		return
	}
	debuglog.Dispatch(s.Log, "result waits, outputs are sent one by one", entry.Dispatch.UID)
	s.sendNextResult()
}

// sendResult sends an outcome now.
func (s *session) sendResult(entry journal.Entry) {
	s.mu.Lock()
	s.sent[entry.Dispatch.UID] = s.Now()
	s.mu.Unlock()
	s.enqueue(resultMessage(entry))
}

// sendNextResult sends the next waiting result if it may be sent now.
func (s *session) sendNextResult() {
	for {
		uid, ok := s.deliveries.nextResult(s.Now())
		if !ok {
			return
		}
		entry, known, err := s.Journal.Lookup(uid)
		if err == nil && known && entry.Outcome != nil && !entry.Settled {
			s.sendResult(entry)
			return
		}
		s.deliveries.markSettled(uid)
	}
}

func (s *session) handleSettled(uid string) {
	s.mu.Lock()
	delete(s.sent, uid)
	s.mu.Unlock()
	s.deliveries.markSettled(uid)
	s.sendNextResult()
}
