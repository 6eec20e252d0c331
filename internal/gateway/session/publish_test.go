package session

import (
	"testing"
	"time"
)

func TestTheFirstNewsOfAMachineAreWrittenAtOnceAndAStormSlowly(t *testing.T) {
	b := newAllowance()
	now := noon.Time
	writes := func(until time.Duration) (n int) {
		for end := now.Add(until); !now.After(end); now = now.Add(100 * time.Millisecond) {
			if !now.Before(b.publishDue()) {
				b.countWrite(now)
				n++
			}
		}
		return n
	}
	b.countWrite(now) // the record of the session
	if n := writes(time.Second); n != publishBurst-1 {
		t.Errorf("%d writes in the first second, want %d", n, publishBurst-1)
	}
	if n := writes(time.Minute); n != 12 {
		t.Errorf("%d writes in a minute of storm, want one every five seconds", n)
	}
	if !now.Before(b.publishDue()) {
		t.Error("the storm did not use up the budget")
	}
	b.refundWrite()
	if now.Before(b.publishDue()) {
		t.Error("a write that was returned to the budget cannot be made")
	}
	now = now.Add(time.Hour)
	if n := writes(0); n != 1 {
		t.Errorf("%d writes at one moment", n)
	}
	if n := writes(time.Second); n != publishBurst-1 {
		t.Errorf("%d more writes after a quiet hour, want %d, because the budget is bounded", n, publishBurst-1)
	}
}
