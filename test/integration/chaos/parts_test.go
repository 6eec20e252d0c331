package chaos_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/stack"
)

// restartInterval is the interval at which keepRunning looks for processes that have ended.
const restartInterval = 300 * time.Millisecond

// part is a process that is started again after each end, as Kubernetes or an init system would do.
type part struct {
	name     string
	process  func() *stack.Process
	start    func() error
	machines []string // the machines whose agents run in it

	killed bool // by the test; it did not end by itself
	paused bool // it is not started again
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

// logEvent counts an event and adds it to the diary.
func (p *parts) logEvent(count, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logEventLocked(count, format, args...)
}

func (p *parts) logEventLocked(count, format string, args ...any) {
	p.counts[count]++
	p.diary = append(p.diary, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// logObservation adds a message of the observer to the diary.
func (p *parts) logObservation(message string) {
	p.logEvent("watches and lists of the observer", "observer: %s", message)
}

// kill ends a part as a crash does.
func (p *parts) kill(victim *part, count string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !victim.process().Running() {
		return
	}
	p.logEventLocked(count, "kill -9 %s", victim.name)
	p.recordDeaths(victim)
	victim.killed = true
	victim.process().Kill()
}

// preventRestart prevents the restart of a part until allowRestart.
func (p *parts) preventRestart(one *part) { p.setPaused(one, true) }

func (p *parts) allowRestart(one *part) { p.setPaused(one, false) }

func (p *parts) setPaused(one *part, paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.paused = paused
}

// recordDeaths records the time at which the machines of a part lose their agents.
func (p *parts) recordDeaths(victim *part) {
	for _, machine := range victim.machines {
		p.deaths[machine] = append(p.deaths[machine], time.Now())
	}
}

// keepRunning starts ended parts again, until ctx ends.
func (p *parts) keepRunning(ctx context.Context) {
	tick := time.NewTicker(restartInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.restartEnded()
		case <-ctx.Done():
			return
		}
	}
}

func (p *parts) restartEnded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.all {
		if one.process().Running() || one.paused {
			continue
		}
		if !one.killed {
			p.logEventLocked("ended by itself: "+one.name, "%s ended by itself:\n%s", one.name, one.process().Tail(5))
			p.recordDeaths(one)
		}
		one.killed = false
		if err := one.start(); err != nil {
			p.logEventLocked("not started: "+one.name, "start %s: %v", one.name, err)
		}
	}
}

// deathTimes returns the deaths so far, by machine.
func (p *parts) deathTimes() map[string][]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	deaths := map[string][]time.Time{}
	for machine, at := range p.deaths {
		deaths[machine] = slices.Clone(at)
	}
	return deaths
}

// snapshot returns the counts and the diary so far.
func (p *parts) snapshot() (counts map[string]int, diary []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts), slices.Clone(p.diary)
}
