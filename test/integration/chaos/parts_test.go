package chaos_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/test/stack"
)

// keepEvery is the interval at which keep looks for processes that have ended.
const keepEvery = 300 * time.Millisecond

// part is a process that is started again after each end, as Kubernetes or an init system would do.
type part struct {
	name     string
	process  func() *stack.Process
	start    func() error
	machines []string // the machines whose agents run in it

	killed bool // by the test; it did not end by itself
	held   bool // it is not started again
}

// parts holds all processes that can be killed, with a record of the events.
type parts struct {
	mu     sync.Mutex
	all    []*part
	deaths map[string][]time.Time // by machine
	counts map[string]int         // of the test's actions and of unexpected ends
	diary  []string
}

func newParts() *parts { return &parts{deaths: map[string][]time.Time{}, counts: map[string]int{}} }

// note counts an event and adds it to the diary.
func (p *parts) note(count, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteLocked(count, format, args...)
}

func (p *parts) noteLocked(count, format string, args ...any) {
	p.counts[count]++
	p.diary = append(p.diary, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// observed adds a message of the observer to the diary.
func (p *parts) observed(what string) {
	p.note("watches and lists of the observer", "observer: %s", what)
}

// kill ends a part as a crash does.
func (p *parts) kill(victim *part, count string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !victim.process().Running() {
		return
	}
	p.noteLocked(count, "kill -9 %s", victim.name)
	p.die(victim)
	victim.killed = true
	victim.process().Kill()
}

// hold prevents the restart of a part until release.
func (p *parts) hold(one *part) { p.setHeld(one, true) }

func (p *parts) release(one *part) { p.setHeld(one, false) }

func (p *parts) setHeld(one *part, held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.held = held
}

// die records the time at which the machines of a part lose their agents.
func (p *parts) die(victim *part) {
	for _, machine := range victim.machines {
		p.deaths[machine] = append(p.deaths[machine], time.Now())
	}
}

// keep starts ended parts again, until ctx ends.
func (p *parts) keep(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.revive()
		case <-ctx.Done():
			return
		}
	}
}

func (p *parts) revive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.all {
		if one.process().Running() || one.held {
			continue
		}
		if !one.killed {
			p.noteLocked("ended by itself: "+one.name, "%s ended by itself:\n%s", one.name, one.process().Tail(5))
			p.die(one)
		}
		one.killed = false
		if err := one.start(); err != nil {
			p.noteLocked("not started: "+one.name, "start %s: %v", one.name, err)
		}
	}
}

// mourned returns the deaths so far, by machine.
func (p *parts) mourned() map[string][]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	deaths := map[string][]time.Time{}
	for machine, at := range p.deaths {
		deaths[machine] = slices.Clone(at)
	}
	return deaths
}

// tally returns the counts and the diary so far.
func (p *parts) tally() (counts map[string]int, diary []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts), slices.Clone(p.diary)
}
