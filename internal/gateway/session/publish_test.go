package session

import (
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/gateway/publisher"
)

func TestTheFirstNewsOfAMachineAreWrittenAtOnceAndAStormSlowly(t *testing.T) {
	b := newAllowance()
	now := noon.Time
	writes := func(until time.Duration) (n int) {
		for end := now.Add(until); !now.After(end); now = now.Add(100 * time.Millisecond) {
			if !now.Before(b.writes.PublishDue()) {
				b.writes.Count(now)
				n++
			}
		}
		return n
	}
	b.writes.Count(now) // the record of the session
	if n := writes(time.Second); n != publisher.Burst-1 {
		t.Errorf("%d writes in the first second, want %d", n, publisher.Burst-1)
	}
	if n := writes(time.Minute); n != 12 {
		t.Errorf("%d writes in a minute of storm, want one every five seconds", n)
	}
	if !now.Before(b.writes.PublishDue()) {
		t.Error("the storm did not use up the budget")
	}
	b.writes.Refund()
	if now.Before(b.writes.PublishDue()) {
		t.Error("a write that was returned to the budget cannot be made")
	}
	now = now.Add(time.Hour)
	if n := writes(0); n != 1 {
		t.Errorf("%d writes at one moment", n)
	}
	if n := writes(time.Second); n != publisher.Burst-1 {
		t.Errorf("%d more writes after a quiet hour, want %d, because the budget is bounded", n, publisher.Burst-1)
	}
}

// blockPublisher leaves a write of the facts in flight, so that no other begins.
func (s *session) blockPublisher() {
	s.publisher.MarkChanged()
	s.publisher.Begin(s.service.Clock.Now(), func() bool { return true })
}

// publisherFree reports whether no write of the facts is in flight. It begins one.
func (s *session) publisherFree() bool {
	s.publisher.MarkChanged()
	free, _ := s.publisher.Begin(s.service.Clock.Now(), func() bool { return true })
	return free
}
