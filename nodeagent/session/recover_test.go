package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// delayObserver receives the delay after each failed attempt. An attempt waits until the test has
// taken the delay of the one before it.
type delayObserver struct {
	noopObserver
	delays chan time.Duration
	ended  <-chan struct{}
}

func (o delayObserver) SessionClosed(_, _ string, retry time.Duration) {
	select {
	case o.delays <- retry:
	case <-o.ended:
	}
}

// TestAMachineWhoseClockIsFarAheadStaysOutAndSaysSo uses a clock that is ahead by more than a
// certificate's life, so that every certificate has expired on arrival. The delay between two
// attempts doubles up to its limit.
func TestAMachineWhoseClockIsFarAheadStaysOutAndSaysSo(t *testing.T) {
	for name, refusal := range map[string]error{"a gateway that refuses": fakegateway.CertificateNotExpired(t), "an older gateway that issues": nil} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			attempts := make(chan time.Time, 100)
			g.Pairing.Recover = func() error { attempts <- time.Now(); return refusal }
			g.Node.CertificateLifetime = 20 * time.Minute
			observer := delayObserver{delays: make(chan time.Duration), ended: t.Context().Done()}
			a := &agent{
				now:      func() time.Time { return time.Now().Add(40 * time.Minute) },
				observer: observer,
				retry:    &backoff.Backoff{Base: time.Millisecond, Cap: 40 * time.Millisecond, Jitter: func() float64 { return 1 }},
			}
			a.start(t, g, g.Node.CertificateLifetime)
			own := a.creds.Identity().Leaf()
			var previous time.Time
			var delay time.Duration
			for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 40, 40} {
				attempt := receive(t, attempts)
				if distance := attempt.Sub(previous); distance < delay {
					t.Errorf("an attempt came %s after the one before it, want at least %s", distance, delay)
				}
				previous, delay = attempt, receive(t, observer.delays)
				if delay != want*time.Millisecond {
					t.Errorf("the delay is %s, want %s", delay, want*time.Millisecond)
				}
			}
			a.screen.await(t, "The clock of this machine is 40 minutes ahead of the gateway's: set it")
			if !a.creds.Identity().Leaf().Equal(own) {
				t.Error("the certificate was replaced by one that has expired by the clock of the machine")
			}
			if got := strings.Count(a.screen.contents(), "minutes ahead"); got != 1 {
				t.Errorf("the sentence is printed %d times, want once:\n%s", got, a.screen.contents())
			}
		})
	}
}

// receive returns the next value of a channel.
func receive[T any](t *testing.T, values <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-values:
	case <-time.After(30 * time.Second):
		t.Fatal("there is no further value")
	}
	return value
}
