package publisher

import (
	"testing"
	"time"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func differ(differs bool) func() bool { return func() bool { return differs } }

func TestFactsAreWrittenOnlyIfTheyDiffer(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*Publisher)
		differs bool
		want    bool
	}{
		"nothing changed":                {func(*Publisher) {}, true, false},
		"they differ":                    {func(p *Publisher) { p.MarkChanged() }, true, true},
		"they do not":                    {func(p *Publisher) { p.MarkChanged() }, false, false},
		"a refresh":                      {func(p *Publisher) { p.RequestRefresh() }, false, true},
		"the session published them":     {func(p *Publisher) { p.MarkChanged(); p.MarkPublished() }, true, false},
		"another write is in flight":     {func(p *Publisher) { p.MarkChanged(); p.Begin(noon, differ(true)); p.MarkChanged() }, true, false},
		"after a write":                  {func(p *Publisher) { p.MarkChanged(); p.Begin(noon, differ(true)); p.Written() }, true, false},
		"after a failed write":           {func(p *Publisher) { p.MarkChanged(); p.Begin(noon, differ(true)); p.Failed() }, true, true},
		"after a conflict":               {func(p *Publisher) { p.MarkChanged(); p.Begin(noon, differ(true)); p.Conflicted() }, true, true},
		"after a refresh that succeeded": {func(p *Publisher) { p.RequestRefresh(); p.Begin(noon, differ(false)); p.Written(); p.MarkChanged() }, false, false},
	} {
		p := New(&Budget{})
		tt.prepare(p)
		if got, due := p.Begin(noon, differ(tt.differs)); got != tt.want || !due.IsZero() {
			t.Errorf("%s: Begin() = %t, due %s, want %t", name, got, due, tt.want)
		}
	}
}

func TestAWriteBeyondTheBudgetWaits(t *testing.T) {
	p := New(&Budget{})
	for range Burst {
		p.MarkChanged()
		if write, _ := p.Begin(noon, differ(true)); !write {
			t.Fatal("a write of the burst waits")
		}
		p.Written()
	}
	p.MarkChanged()
	compared := false
	write, due := p.Begin(noon.Add(Interval-1), func() bool { compared = true; return true })
	if write || compared || !due.Equal(noon.Add(Interval)) {
		t.Errorf("Begin() = %t, compared %t, due %s", write, compared, due)
	}
	if write, _ := p.Begin(due, differ(true)); !write {
		t.Error("the write is not made when it is due")
	}
}

func TestAConflictCostsNothing(t *testing.T) {
	b := &Budget{}
	p := New(b)
	p.MarkChanged()
	p.Begin(noon, differ(true))
	if b.Full(noon) {
		t.Error("a write costs nothing")
	}
	if p.Conflicted(); !b.Full(noon) {
		t.Error("a write that changed nothing counts")
	}
}

// Each use of the budget has its own burst: new facts wait first, and sessions are refused last.
func TestSessionsAndEndsHaveLargerBursts(t *testing.T) {
	b := &Budget{}
	for range Burst {
		b.Count(noon)
	}
	if due := b.PublishDue(); !due.Equal(noon.Add(Interval)) || b.EndDue().After(noon) {
		t.Errorf("after %d writes facts wait until %s, the end until %s", Burst, due, b.EndDue())
	}
	for range EndBurst - Burst {
		b.Count(noon)
	}
	if due := b.EndDue(); !due.Equal(noon.Add(Interval)) {
		t.Errorf("after %d writes the end waits until %s", EndBurst, due)
	}
	for i := range SessionBurst - EndBurst {
		if !b.AllowSession(noon) {
			t.Fatalf("session %d is refused", i)
		}
	}
	if b.AllowSession(noon.Add(Interval - 1)) {
		t.Error("a session beyond the burst is allowed")
	}
	if !b.AllowSession(noon.Add(Interval)) {
		t.Error("a session is refused although a write is available")
	}
}
