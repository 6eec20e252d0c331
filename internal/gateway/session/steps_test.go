package session

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

func TestTheNextStepIsTheFactThatIsNotWritten(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	ada := &approvalRequest{user: "ada", since: noon.Time}
	queued := v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchQueued}
	awaiting := dispatch.MarkAwaitingMediation(queued, "ada", noon.Time, "gw", noon.Time)
	accepted := dispatch.MarkAccepted(queued, "gw", noon.Time)
	for name, tt := range map[string]struct {
		e      entry
		status v1alpha1.CapabilityDispatchStatus
		want   string // empty for no step
		due    time.Time
	}{
		"nothing is known":                 {entry{}, queued, "", time.Time{}},
		"it is accepted":                   {entry{accepted: true, offeredAt: noon.Time}, queued, "dispatched", noon.Add(s.service.DispatchedDelay)},
		"its acceptance is written":        {entry{accepted: true}, accepted, "", time.Time{}},
		"a person is asked":                {entry{accepted: true, approvalRequest: ada}, accepted, "asked", time.Time{}},
		"the question is written":          {entry{accepted: true, approvalRequest: ada}, awaiting, "", time.Time{}},
		"the answer came before it":        {entry{accepted: true, approvalRequest: ada, approved: true, stage: stageStart}, accepted, "", time.Time{}},
		"a question after it started":      {entry{accepted: true, approvalRequest: ada}, dispatch.MarkProgress(queued, 1, "", "gw", noon.Time), "", time.Time{}},
		"a yes that is not cleared":        {entry{accepted: true, approvalRequest: ada, approved: true, stage: stageAsk}, awaiting, "", time.Time{}},
		"a yes that is cleared":            {entry{accepted: true, approvalRequest: ada, approved: true, stage: stageStart}, awaiting, "mediated", time.Time{}},
		"a yes that is written":            {entry{accepted: true, approvalRequest: ada, approved: true, stage: stageStart}, accepted, "", time.Time{}},
		"progress comes before all others": {entry{accepted: true, approvalRequest: ada, progress: &v1alpha1.DispatchProgress{}, progressAt: noon.Time}, queued, "progress", noon.Add(progressInterval)},
	} {
		t.Run(name, func(t *testing.T) {
			tt.e.d = &v1alpha1.CapabilityDispatch{Status: tt.status}
			next, ok := s.nextStep(&tt.e)
			if next.name != tt.want || ok != (tt.want != "") || !next.due.Equal(tt.due) {
				t.Errorf("%q, %t, due %s, want %q, due %s", next.name, ok, next.due, tt.want, tt.due)
			}
		})
	}
}

// Progress is written at most once in each progressInterval.
func TestAStepIsWrittenWhenItIsDueAndWithinTheBudget(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	s.wakeAt = noon.Add(time.Hour)
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	d.ResourceVersion = "1"
	e := s.addStored(at, d, entry{offered: true, accepted: true, acceptedAt: noon.Time,
		progress: &v1alpha1.DispatchProgress{Percent: 1}, progressAt: noon.Time})
	s.advance(t.Context(), e)
	if len(s.pending) != 0 || !s.wakeAt.Equal(noon.Add(progressInterval)) {
		t.Errorf("%d writes before the step is due, the session wakes at %s", len(s.pending), s.wakeAt)
	}
	c.Step(progressInterval)
	s.advance(t.Context(), e)
	s.runPending(t.Context())
	if at.writes != 1 || e.progress != nil || !e.progressAt.Equal(c.Now()) || at.dispatch.Status.Progress == nil {
		t.Errorf("%d writes, unwritten progress %v, written %v at %s", at.writes, e.progress, at.dispatch.Status.Progress, e.progressAt)
	}
	s.steps.AllowN(c.Now(), int(s.steps.TokensAt(c.Now())))
	e.progress = &v1alpha1.DispatchProgress{Percent: 2}
	e.progressAt, s.wakeAt = noon.Time, noon.Add(time.Hour)
	if s.writeStep(t.Context(), e); len(s.pending) != 0 || e.progress == nil || !s.wakeAt.Equal(c.Now().Add(time.Second)) {
		t.Errorf("%d writes beyond the budget, progress %v, the session wakes at %s", len(s.pending), e.progress, s.wakeAt)
	}
}

func TestAFactThatArrivesDuringAWriteIsWrittenNext(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	d.ResourceVersion = "1"
	e := s.addStored(at, d, entry{offered: true, accepted: true, acceptedAt: noon.Time, approvalRequest: &approvalRequest{user: "ada"}, stage: stageAsk})
	s.advance(t.Context(), e)
	e.approved, e.stage = true, stageStart
	s.runPending(t.Context())
	if at.writes != 2 || at.dispatch.Status.Mediation == nil || at.dispatch.Status.Phase != v1alpha1.DispatchDispatched {
		t.Errorf("%d writes, status %+v: want the request for approval and the approval written", at.writes, at.dispatch.Status)
	}
}

// A machine that is connected and reports no result in time may have run the dispatch.
func TestADispatchThatIsNotReportedInTimeEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		status    v1alpha1.CapabilityDispatchStatus
		early     time.Duration
		otherOne  bool // another session is recorded
		wantPhase v1alpha1.DispatchPhase
		wantCode  string
	}{
		"overdue":                  {v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}, 0, false, v1alpha1.DispatchTimedOut, v1alpha1.ErrorTimeout},
		"one moment before":        {v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}, 1, false, v1alpha1.DispatchDispatched, ""},
		"of a session of the past": {v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}, 0, true, v1alpha1.DispatchDispatched, ""},
		"withdrawn, not confirmed": {dispatch.Withdraw(v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}, "NotGranted", "no", "gw", noon.Time), 0, false, v1alpha1.DispatchFailed, "NotGranted"},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			s.publishing, s.wakeAt = true, noon.Add(time.Hour)
			d := newDispatch(s, c, v1alpha1.DispatchDispatched)
			d.Status, d.ResourceVersion = tt.status, "1"
			e := s.addStored(at, d, entry{offered: true})
			s.inFlight[d.UID] = struct{}{}
			if tt.otherOne {
				at.node.Status.SessionID = "newer"
			}
			c.SetTime(e.overdueAt(s.service.ReportGrace).Add(-tt.early))
			s.service.lease.renewed = c.Now()
			s.advance(t.Context(), e)
			s.runPending(t.Context())
			status, code := at.dispatch.Status, ""
			if status.Error != nil {
				code = status.Error.Code
			}
			if status.Phase != tt.wantPhase || code != tt.wantCode {
				t.Errorf("phase %s, error %q, want %s, %q", status.Phase, code, tt.wantPhase, tt.wantCode)
			}
			if ended := tt.wantCode != ""; e.cancelSent != ended || (len(s.inFlight) == 0) != ended || ended && !e.settledAt.Equal(c.Now()) {
				t.Errorf("cancelled %t, %d in flight, settled at %s", e.cancelSent, len(s.inFlight), e.settledAt)
			}
		})
	}
}

// cancelFinished keeps the time of its first call: a late result completes the status only for
// settledTTL.
func TestADispatchThatAnotherProcessEndedIsCancelledOnce(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	e := s.addStored(at, newDispatch(s, c, v1alpha1.DispatchTimedOut), entry{offered: true, accepted: true})
	s.advance(t.Context(), e)
	c.Step(time.Minute)
	s.advance(t.Context(), e)
	if len(s.sent()) != 1 || s.sent()[0].GetCancel() == nil || !e.settledAt.Equal(noon.Time) {
		t.Errorf("sent %v, settled at %s", s.sent(), e.settledAt)
	}
}

func TestTheEndOfARunThatTheWatchDoesNotShowIsReadWhileItIsNotBusy(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	for name, tt := range map[string]struct {
		e     entry
		reads int
		known bool
	}{
		"it left":                      {entry{}, 1, true},
		"it left while it was settled": {entry{settled: true}, 0, false},
		"it left while it was busy":    {entry{busy: true}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newBlockedSession(c)
			d := newDispatch(s, c, v1alpha1.DispatchDispatched)
			tt.e.d = d
			s.entries[d.UID] = &tt.e
			s.handleLeft(t.Context(), d.UID)
			if len(s.pending) != tt.reads || (s.entries[d.UID] != nil) != tt.known || !tt.e.leftWatch {
				t.Errorf("%d reads, known %t, want %d, %t", len(s.pending), s.entries[d.UID] != nil, tt.reads, tt.known)
			}
			s.handleLeft(t.Context(), "unknown")
		})
	}
}
