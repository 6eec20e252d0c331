package session

import (
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mooring-dev/mooring/nodeagent/journal"
)

const (
	codeInvalidOutput = "InvalidOutput"
	// refusalsAllowed is the number of refusals by a gateway after which a result loses its output.
	refusalsAllowed = 2
	// settlePatience is the time for which a result that is sent alone may delay the next one.
	settlePatience = 5 * time.Second
)

// delivery decides when the outputs of the journal are sent, over all sessions of an agent. It sends
// each output at once, until a gateway ends a session because of the content of a message. From then
// on it sends outputs one by one, suspects last, so that the next refusal identifies the refused
// output. Results without an output have only bounded parts and are always sent.
type delivery struct {
	mu sync.Mutex
	// refusals counts, by UID, the sessions that ended while the output was on its way.
	refusals map[string]int
	// careful sends outputs one by one. current is the one on its way, at least until due.
	careful bool
	current string
	due     time.Time
	// onWay holds the results sent in this session and not settled; waiting holds the unsent ones.
	onWay   map[string]bool
	waiting []string
}

func newDelivery() *delivery {
	return &delivery{refusals: map[string]int{}, onWay: map[string]bool{}}
}

// begin resets the state for a new session.
func (d *delivery) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onWay, d.waiting, d.current = map[string]bool{}, nil, ""
	d.careful = len(d.refusals) > 0
}

// admit reports whether a result may be sent now. If not, next returns it later.
func (d *delivery) admit(uid string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.careful {
		d.onWay[uid] = true
		return true
	}
	if !slices.Contains(d.waiting, uid) {
		d.waiting = append(d.waiting, uid)
	}
	return false
}

// next returns a waiting result that may be sent now.
func (d *delivery) next(now time.Time) (uid string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != "" && now.Before(d.due) {
		return "", false
	}
	if len(d.waiting) == 0 {
		d.careful = d.careful && len(d.refusals) > 0
		return "", false
	}
	slices.SortStableFunc(d.waiting, func(a, b string) int { return d.refusals[a] - d.refusals[b] })
	uid, d.waiting = d.waiting[0], d.waiting[1:]
	d.current, d.due = uid, now.Add(settlePatience)
	d.onWay[uid] = true
	return uid, true
}

// settled records that a gateway saved a result, or that the result no longer exists.
func (d *delivery) settled(uid string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.onWay, uid)
	delete(d.refusals, uid)
	if d.current == uid {
		d.current = ""
	}
}

// ended records the error that ended a session. It returns the UID of a result that a gateway refused
// for the last allowed time, or "".
func (d *delivery) ended(err error) (refused string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if code := status.Code(err); code != codes.ResourceExhausted && code != codes.InvalidArgument {
		return ""
	}
	alone := len(d.onWay) == 1
	for uid := range d.onWay {
		if alone || d.refusals[uid] == 0 {
			d.refusals[uid]++
		}
		if d.refusals[uid] >= refusalsAllowed {
			delete(d.refusals, uid)
			return uid
		}
	}
	return ""
}

// giveUpOutput replaces the outcome of a run by one without the output, which every gateway refuses.
func (r *Runner) giveUpOutput(uid string) {
	entry, known, err := r.Journal.Lookup(uid)
	if err == nil && known && entry.Outcome != nil && !entry.Settled {
		outcome := *entry.Outcome
		outcome.Result, outcome.ErrorCode, outcome.ErrorMessage = journal.Failed, codeInvalidOutput, "the gateway refused the result"
		outcome.Output, outcome.OutputTruncated = nil, false
		err = r.Journal.Replace(uid, outcome)
	}
	r.Log.Error("the gateway refused a result again; its output is dropped", "dispatch", uid, "error", err)
}

// Finished sends an outcome to the gateway until it is settled.
func (s *stream) Finished(entry journal.Entry) {
	if len(entry.Outcome.Output) == 0 || s.deliveries.admit(entry.Dispatch.UID) {
		s.report(entry)
		return
	}
	s.deliver()
}

// report sends an outcome now.
func (s *stream) report(entry journal.Entry) {
	s.mu.Lock()
	s.sent[entry.Dispatch.UID] = s.Now()
	s.mu.Unlock()
	s.enqueue(resultMessage(entry))
}

// deliver sends the next waiting result if it may be sent now.
func (s *stream) deliver() {
	for {
		uid, ok := s.deliveries.next(s.Now())
		if !ok {
			return
		}
		entry, known, err := s.Journal.Lookup(uid)
		if err == nil && known && entry.Outcome != nil && !entry.Settled {
			s.report(entry)
			return
		}
		s.deliveries.settled(uid)
	}
}

func (s *stream) settled(uid string) {
	s.mu.Lock()
	delete(s.sent, uid)
	s.mu.Unlock()
	s.deliveries.settled(uid)
	s.deliver()
}
