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
	// refusalsAllowed is how often a gateway may refuse a result before its output is given up.
	refusalsAllowed = 2
	// settlePatience is how long a result that is sent alone may keep the next one waiting.
	settlePatience = 5 * time.Second
)

// delivery decides when the outputs of the journal are sent, over all sessions of an agent. Each
// is sent at once, until a gateway ends a session for the content of a message. From then on they
// are sent one by one, suspects last, so that the next refusal names the one that is refused.
// Results without an output are of bounded parts only and are always sent.
type delivery struct {
	mu sync.Mutex
	// refusals counts by UID how often a session ended while the output was on its way.
	refusals map[string]int
	// careful: one by one. current is the one on its way, at least until due.
	careful bool
	current string
	due     time.Time
	// onWay are sent in this session and not settled; waiting are not sent.
	onWay   map[string]bool
	waiting []string
}

func newDelivery() *delivery {
	return &delivery{refusals: map[string]int{}, onWay: map[string]bool{}}
}

// begin starts a session.
func (d *delivery) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onWay, d.waiting, d.current = map[string]bool{}, nil, ""
	d.careful = len(d.refusals) > 0
}

// admit reports whether a result may be sent now; if not, next returns it later.
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

// next returns a result that waits and may be sent now.
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

// settled notes that a gateway took a result, or that there is none any more.
func (d *delivery) settled(uid string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.onWay, uid)
	delete(d.refusals, uid)
	if d.current == uid {
		d.current = ""
	}
}

// ended takes in how a session ended. It returns the UID of a result that a gateway refused for the
// last time allowed, or nothing.
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

// giveUpOutput replaces the outcome of a run by one without the output that no gateway takes.
func (r *Runner) giveUpOutput(uid string) {
	entry, known, err := r.Journal.Lookup(uid)
	if err == nil && known && entry.Outcome != nil && !entry.Settled {
		outcome := *entry.Outcome
		outcome.Result, outcome.ErrorCode, outcome.ErrorMessage = journal.Failed, codeInvalidOutput, "the gateway refused the result"
		outcome.Output, outcome.OutputTruncated = nil, false
		err = r.Journal.Replace(uid, outcome)
	}
	r.Log.Error("the gateway refused a result again; its output is given up", "dispatch", uid, "error", err)
}

// Finished sends an outcome to the gateway, until it is settled.
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

// deliver sends the waiting messages that may be sent.
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
