package dispatchtable

import (
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

func TestTheNextStepIsTheFactThatIsNotWritten(t *testing.T) {
	h, _, _ := newHarness(newClock())
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
		"it is accepted":                   {entry{accepted: true, offeredAt: noon.Time}, queued, "dispatched", noon.Add(h.DispatchedDelay)},
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
			next, ok := h.nextStep(&tt.e)
			if next.name != tt.want || ok != (tt.want != "") || !next.due.Equal(tt.due) {
				t.Errorf("%q, %t, due %s, want %q, due %s", next.name, ok, next.due, tt.want, tt.due)
			}
		})
	}
}

// Progress is written at most once in each progressInterval.
func TestAStepIsWrittenWhenItIsDueAndWithinTheBudget(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	h.wakeAt = noon.Add(time.Hour)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	d.ResourceVersion = "1"
	e := h.addStored(d, entry{offered: true, accepted: true, acceptedAt: noon.Time,
		progress: &v1alpha1.DispatchProgress{Percent: 1}, progressAt: noon.Time})
	h.run(func() { h.advance(e) })
	if len(h.pending) != 0 || !h.wakeAt.Equal(noon.Add(progressInterval)) {
		t.Errorf("%d writes before the step is due, the session wakes at %s", len(h.pending), h.wakeAt)
	}
	c.Step(progressInterval)
	h.run(func() { h.advance(e) })
	h.runPending()
	if at.writes != 1 || e.progress != nil || !e.progressAt.Equal(c.Now()) || at.dispatch.Status.Progress == nil {
		t.Errorf("%d writes, unwritten progress %v, written %v at %s", at.writes, e.progress, at.dispatch.Status.Progress, e.progressAt)
	}
	h.session.Steps.AllowN(c.Now(), int(h.session.Steps.TokensAt(c.Now())))
	e.progress = &v1alpha1.DispatchProgress{Percent: 2}
	e.progressAt, h.wakeAt = noon.Time, noon.Add(time.Hour)
	if h.run(func() { h.writeStep(e) }); len(h.pending) != 0 || e.progress == nil || !h.wakeAt.Equal(c.Now().Add(time.Second)) {
		t.Errorf("%d writes beyond the budget, progress %v, the session wakes at %s", len(h.pending), e.progress, h.wakeAt)
	}
}

func TestAFactThatArrivesDuringAWriteIsWrittenNext(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	d.ResourceVersion = "1"
	e := h.addStored(d, entry{offered: true, accepted: true, acceptedAt: noon.Time, approvalRequest: &approvalRequest{user: "ada"}, stage: stageAsk})
	h.run(func() { h.advance(e) })
	e.approved, e.stage = true, stageStart
	h.runPending()
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
			c := newClock()
			h, at, _ := newHarness(c)
			h.wakeAt = noon.Add(time.Hour)
			d := newDispatch(c, v1alpha1.DispatchDispatched)
			d.Status, d.ResourceVersion = tt.status, "1"
			e := h.addStored(d, entry{offered: true})
			h.inFlight[d.UID] = struct{}{}
			if tt.otherOne {
				at.node.Status.SessionID = "newer"
			}
			c.SetTime(e.overdueAt(h.ReportGrace).Add(-tt.early))
			h.run(func() { h.advance(e) })
			h.runPending()
			status, code := at.dispatch.Status, ""
			if status.Error != nil {
				code = status.Error.Code
			}
			if status.Phase != tt.wantPhase || code != tt.wantCode {
				t.Errorf("phase %s, error %q, want %s, %q", status.Phase, code, tt.wantPhase, tt.wantCode)
			}
			if ended := tt.wantCode != ""; e.cancelSent != ended || (len(h.inFlight) == 0) != ended || ended && !e.settledAt.Equal(c.Now()) {
				t.Errorf("cancelled %t, %d in flight, settled at %s", e.cancelSent, len(h.inFlight), e.settledAt)
			}
			if tt.otherOne && !h.wakeAt.Equal(c.Now().Add(blockedRetryInterval)) {
				t.Errorf("a write that is not made is tried again at %s", h.wakeAt)
			}
		})
	}
}

// Another process may end a dispatch while this one writes its overdue end.
func TestAnOverdueDispatchThatAnotherProcessEndedKeepsItsStatus(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchDispatched)
	e := h.addStored(d, entry{offered: true})
	at.dispatch.Status.Phase, at.dispatch.ResourceVersion = v1alpha1.DispatchCancelled, "6"
	c.SetTime(e.overdueAt(h.ReportGrace))
	h.run(func() { h.advance(e) })
	h.runPending()
	if at.writes != 0 || at.conflicts != 1 || at.dispatch.Status.Phase != v1alpha1.DispatchCancelled || !e.cancelSent {
		t.Errorf("%d writes, %d conflicts, phase %s, cancelled %t", at.writes, at.conflicts, at.dispatch.Status.Phase, e.cancelSent)
	}
}

// cancelFinished keeps the time of its first call: a late result completes the status only for
// settledTTL.
func TestADispatchThatAnotherProcessEndedIsCancelledOnce(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	e := h.addStored(newDispatch(c, v1alpha1.DispatchTimedOut), entry{offered: true, accepted: true})
	h.run(func() { h.advance(e) })
	c.Step(time.Minute)
	h.run(func() { h.advance(e) })
	if len(h.sent()) != 1 || h.sent()[0].GetCancel() == nil || !e.settledAt.Equal(noon.Time) {
		t.Errorf("sent %v, settled at %s", h.sent(), e.settledAt)
	}
}

func TestACancelledDispatchIsCancelledOnItsMachineOnce(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchDispatched)
	d.Spec.Cancel, d.Status = true, dispatch.MarkAccepted(d.Status, "gw", noon.Time)
	e := h.addStored(d, entry{offered: true, accepted: true, acceptedAt: noon.Time})
	for range 2 {
		h.run(func() { h.advance(e) })
	}
	if len(h.sent()) != 1 || h.sent()[0].GetCancel().GetDispatch().GetUid() != string(d.UID) {
		t.Errorf("sent %v, want one Cancel", h.sent())
	}
}

// After the end of the session only results are written.
func TestAnEndedSessionWritesOnlyResults(t *testing.T) {
	for name, tt := range map[string]struct {
		e    entry
		jobs int
	}{
		"a step":        {entry{offered: true, accepted: true, progress: &v1alpha1.DispatchProgress{Percent: 1}}, 0},
		"a result":      {entry{offered: true, accepted: true, result: succeededResult()}, 1},
		"a busy one":    {entry{offered: true, busy: true, result: succeededResult()}, 0},
		"a settled one": {entry{offered: true, settled: true, result: succeededResult()}, 0},
		"a later retry": {entry{offered: true, result: succeededResult(), retryAt: noon.Add(time.Second)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, _ := newHarness(c)
			h.ended = true
			e := h.addStored(newDispatch(c, v1alpha1.DispatchDispatched), tt.e)
			h.run(func() { h.advance(e) })
			if len(h.pending) != tt.jobs || len(h.sent()) != 0 {
				t.Errorf("%d jobs, sent %v", len(h.pending), h.sent())
			}
		})
	}
}

func TestACancellationNamesItsDispatch(t *testing.T) {
	ref := &gatewayv1.DispatchRef{Uid: "a"}
	if got := CancelMessage(ref).GetCancel().GetDispatch(); got != ref {
		t.Errorf("it names %v", got)
	}
}
