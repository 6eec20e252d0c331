package dispatchtable

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

func acceptedOf(d *v1alpha1.CapabilityDispatch) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Accepted{Accepted: &gatewayv1.Accepted{Dispatch: RefOf(d)}}}
}

func askedOf(d *v1alpha1.CapabilityDispatch) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation{
		AwaitingLocalMediation: &gatewayv1.AwaitingLocalMediation{Dispatch: RefOf(d), AskedUser: "ada", Since: timestamppb.New(noon.Time)}}}
}

func decidedOf(d *v1alpha1.CapabilityDispatch) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_MediationDecided{
		MediationDecided: &gatewayv1.MediationDecided{Dispatch: RefOf(d)}}}
}

func progressOf(d *v1alpha1.CapabilityDispatch, percent uint32) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{
		Progress: &gatewayv1.Progress{Dispatch: RefOf(d), Percent: percent}}}
}

func TestAMessageCountsForADispatchThatWasOfferedAndHasNoResult(t *testing.T) {
	for name, tt := range map[string]struct {
		e    entry
		want bool
	}{
		"offered":       {entry{offered: true}, true},
		"not offered":   {entry{}, false},
		"settled":       {entry{offered: true, settled: true}, false},
		"with a result": {entry{offered: true, busy: true, result: &dispatch.Result{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, _ := newHarness(c)
			tt.e.d = newDispatch(c, v1alpha1.DispatchQueued)
			h.add(&tt.e)
			h.receive(progressOf(tt.e.d, 40))
			if counted := tt.e.accepted && tt.e.stage == stageStart; counted != tt.want {
				t.Errorf("the message counts: %t, want %t", counted, tt.want)
			}
			h.receive(progressOf(newDispatch(c, v1alpha1.DispatchQueued), 40)) // an unknown dispatch
		})
	}
}

func TestProgressIsAtMostAHundredPercent(t *testing.T) {
	for sent, want := range map[uint32]int32{0: 0, 40: 40, 100: 100, 101: 100, 1 << 31: 100} {
		c := newClock()
		h, _, _ := newHarness(c)
		e := h.add(&entry{d: newDispatch(c, v1alpha1.DispatchQueued), offered: true, busy: true})
		if h.receive(progressOf(e.d, sent)); e.progress.Percent != want {
			t.Errorf("%d %% are %d %%, want %d", sent, e.progress.Percent, want)
		}
	}
}

// Every message about an offered dispatch shows that the machine journaled the dispatch.
func TestTheMessagesAboutADispatchAreItsFacts(t *testing.T) {
	c := newClock()
	d := newDispatch(c, v1alpha1.DispatchQueued)
	for name, tt := range map[string]struct {
		message *gatewayv1.StreamNodeEventsRequest
		want    func(*entry) bool
	}{
		"accepted": {acceptedOf(d), func(e *entry) bool { return e.approvalRequest == nil && !e.approved && e.progress == nil }},
		"asked": {askedOf(d), func(e *entry) bool {
			return e.approvalRequest != nil && e.approvalRequest.user == "ada" && e.approvalRequest.since.Equal(noon.Time) && !e.approved
		}},
		"decided":  {decidedOf(d), func(e *entry) bool { return e.approved }},
		"progress": {progressOf(d, 7), func(e *entry) bool { return e.progress.Percent == 7 && e.stage == stageStart }},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, _ := newHarness(c)
			e := h.add(&entry{d: d, offered: true, busy: true})
			if handled := h.receive(tt.message); !handled || !e.accepted || !e.acceptedAt.Equal(c.server) || !tt.want(e) {
				t.Errorf("handled %t, entry %+v", handled, e)
			}
		})
	}
}

// A person at the machine is asked, allows the dispatch, and the machine reports the result.
func TestAMediatedDispatchFromItsOfferToItsResult(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	h.session.ClearanceSupported = true
	d := newDispatch(c, v1alpha1.DispatchQueued)
	h.addWaiting(d)
	h.do(h.Offer(h.snapshot()))
	for _, tt := range []struct {
		message *gatewayv1.StreamNodeEventsRequest
		phase   v1alpha1.DispatchPhase
		cleared bool
	}{
		{acceptedOf(d), v1alpha1.DispatchQueued, false}, // Dispatched is not due yet.
		{askedOf(d), v1alpha1.DispatchAwaitingLocalMediation, false},
		{decidedOf(d), v1alpha1.DispatchDispatched, true},
	} {
		h.receive(tt.message)
		h.runPending()
		if at.dispatch.Status.Phase != tt.phase || h.startCleared() != tt.cleared {
			t.Fatalf("after %v: phase %s, cleared %t", tt.message, at.dispatch.Status.Phase, h.startCleared())
		}
	}
	h.report(succeeded(d))
	h.runPending()
	if at.dispatch.Status.Phase != v1alpha1.DispatchSucceeded || at.dispatch.Status.Mediation == nil || !h.settledSent() || h.offersSent() != 1 {
		t.Errorf("status %+v, sent %v", at.dispatch.Status, h.sent())
	}
}

func TestOtherMessagesAreNotForTheTable(t *testing.T) {
	h, _, _ := newHarness(newClock())
	for _, m := range []*gatewayv1.StreamNodeEventsRequest{
		nil, {}, {Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{}}, {Message: &gatewayv1.StreamNodeEventsRequest_Stopping{}},
		{Message: &gatewayv1.StreamNodeEventsRequest_Hello{}}, {Message: &gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged{}},
	} {
		if h.receive(m) || len(h.sent()) != 0 || len(h.pending) != 0 {
			t.Errorf("%v is handled", m)
		}
	}
}

// FuzzReceive sends messages of a hostile machine to a Table with one offered dispatch. A message
// causes at most a few jobs and no other entry.
func FuzzReceive(f *testing.F) {
	d := newDispatch(newClock(), v1alpha1.DispatchDispatched)
	d.Name, d.UID = "one", "uid"
	for _, m := range []*gatewayv1.StreamNodeEventsRequest{acceptedOf(d), askedOf(d), decidedOf(d), progressOf(d, 1<<31),
		{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: succeeded(d)}},
		{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{}}},
		{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{Dispatch: &gatewayv1.DispatchRef{Namespace: "fleet", Uid: "other"}, Outcome: 99}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m gatewayv1.StreamNodeEventsRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		h, _, _ := newHarness(newClock())
		h.Load(h.snapshot(), []*v1alpha1.CapabilityDispatch{d}, journalOf(d, gatewayv1.UnsettledDispatch_STATE_RUNNING))
		h.receive(&m)
		h.receive(&m) // an agent repeats a message after a lost answer
		if len(h.pending) > 4 || len(h.entries) != 1 || len(h.sent()) > 4 {
			t.Errorf("one message causes %d jobs, %d entries and %d messages", len(h.pending), len(h.entries), len(h.sent()))
		}
	})
}
