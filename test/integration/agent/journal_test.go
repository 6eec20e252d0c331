package agent_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// restartWithClockAhead restarts the agent with a gateway whose clock is ahead of the machine's.
func (m *machine) restartWithClockAhead(ahead time.Duration) *fakegateway.Session {
	m.Helper()
	m.gateway.Node.Welcome = func(w *gatewayv1.Welcome) { w.GatewayTime = timestamppb.New(time.Now().Add(ahead)) }
	return m.restart()
}

// awaitPruned returns once the agent has pruned its journal in this session. The agent prunes after each
// heartbeat.
func (m *machine) awaitPruned(s *fakegateway.Session) {
	m.Helper()
	for range 2 {
		fakegateway.AwaitMessage(m, s, (*gatewayv1.StreamNodeEventsRequest).GetHeartbeat)
	}
}

// runAndSettle runs a dispatch with the given expiry and settles it.
func (m *machine) runAndSettle(s *fakegateway.Session, uid string, expires time.Time) {
	m.Helper()
	m.sendOffer(s, uid, 0, expires)
	m.wantResult(s, uid, succeeded, finished)
	m.sendSettled(s, uid)
	m.sendOffer(s, "after", 0, time.Now().Add(-time.Second))
	m.wantResult(s, "after", timedOut, notStarted) // The agent handles messages in order, so uid is settled.
}

// TestAMachineRemembersASettledDispatchForAnHourAfterItsExpiry offers a settled dispatch again, as
// a gateway does after a restore of the cluster from a backup.
func TestAMachineRemembersASettledDispatchForAnHourAfterItsExpiry(t *testing.T) {
	m, s := newMachine(t)
	expires := time.Now().Add(time.Minute)
	m.runAndSettle(s, "a", expires)
	s = m.restartWithClockAhead(time.Hour)
	m.awaitPruned(s)
	m.sendOffer(s, "a", 0, expires)
	m.wantResult(s, "a", succeeded, finished)
	m.wantRuns("a")
}

// TestAMachineRunsNothingThatItMayHaveForgotten sets the clock of the cluster hours ahead. The
// agent then removes from its journal the dispatches that have expired by that clock.
func TestAMachineRunsNothingThatItMayHaveForgotten(t *testing.T) {
	m, s := newMachine(t)
	expires := time.Now().Add(time.Minute)
	m.runAndSettle(s, "a", expires)
	m.awaitPruned(m.restartWithClockAhead(2 * time.Hour))
	s = m.restartWithClockAhead(0)
	m.sendOffer(s, "a", 0, expires)
	m.wantResult(s, "a", timedOut, unknown)
	m.sendOffer(s, "b", 0, inOneHour())
	m.wantResult(s, "b", succeeded, finished)
	m.wantRuns("a b")
}

// TestAMachineWhoseJournalIsFullRefusesWork fills the journal with a gateway that settles nothing.
// The machine then rejects work and keeps every outcome.
func TestAMachineWhoseJournalIsFullRefusesWork(t *testing.T) {
	m, s := newMachine(t)
	for i := range journal.MaxUnsettled {
		m.sendOffer(s, fmt.Sprintf("open-%d", i), 0, time.Now().Add(-time.Second))
	}
	m.sendOffer(s, "a", 0, inOneHour())
	m.wantResult(s, "a", gatewayv1.Result_OUTCOME_REJECTED, notStarted)
	s = m.restart()
	if open := len(s.Hello.GetUnsettled()); open != journal.MaxUnsettled {
		t.Errorf("the machine reports %d unsettled dispatches after a restart, want %d", open, journal.MaxUnsettled)
	}
	m.sendSettled(s, "open-0")
	m.sendOffer(s, "b", 0, inOneHour())
	m.wantResult(s, "b", succeeded, finished)
	m.wantRuns("b")
}

// TestAMachineJournalsADispatchOnce checks that the journal stores a dispatch once: the entry of
// the first run survives a second offer.
func TestAMachineJournalsADispatchOnce(t *testing.T) {
	m, s := newMachine(t)
	m.sendOffer(s, "a", 0, inOneHour())
	m.wantResult(s, "a", succeeded, finished)
	m.sendOffer(s, "a", time.Hour, inOneHour())
	m.sendOffer(s, "b", 0, inOneHour())
	m.wantResult(s, "b", succeeded, finished) // The agent handles messages in order.
	m.wantResult(m.restart(), "a", succeeded, finished)
}
