package dispatchtable

import (
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Receive handles a message of the machine about a dispatch. handled is false for other messages.
func (t *Table) Receive(now Snapshot, m *gatewayv1.StreamNodeEventsRequest) (effects Effects, handled bool) {
	effects = t.call(now, func() { handled = t.receive(m) })
	return effects, handled
}

func (t *Table) receive(m *gatewayv1.StreamNodeEventsRequest) (handled bool) {
	switch m := m.GetMessage().(type) {
	case *gatewayv1.StreamNodeEventsRequest_Accepted:
		t.update(m.Accepted.GetDispatch(), func(*entry) {})
	case *gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation:
		t.update(m.AwaitingLocalMediation.GetDispatch(), func(e *entry) {
			t.debugDispatch("person asked", e.d)
			e.approvalRequest = &approvalRequest{user: m.AwaitingLocalMediation.GetAskedUser(), since: TimeOf(m.AwaitingLocalMediation.GetSince())}
		})
	case *gatewayv1.StreamNodeEventsRequest_MediationDecided:
		t.update(m.MediationDecided.GetDispatch(), func(e *entry) {
			e.approved = true
			t.debugDispatch("person allowed", e.d)
		})
	case *gatewayv1.StreamNodeEventsRequest_Progress:
		t.update(m.Progress.GetDispatch(), func(e *entry) {
			e.stage = gatewayv1.Clearance_STAGE_START
			t.debugDispatch("progress received", e.d)
			e.progress = &v1alpha1.DispatchProgress{Percent: int32(min(m.Progress.GetPercent(), 100)), Message: m.Progress.GetMessage()}
		})
	case *gatewayv1.StreamNodeEventsRequest_Result:
		t.handleResult(m.Result)
	default:
		return false
	}
	return true
}

// update marks an offered dispatch as accepted, and applies a message to its entry. It ignores
// messages about other dispatches: for those the machine may send only a Result.
func (t *Table) update(ref *gatewayv1.DispatchRef, change func(*entry)) {
	e := t.entries[types.UID(ref.GetUid())]
	if e == nil || !e.offered || e.settled || e.result != nil {
		return
	}
	known := e.accepted
	e.markAccepted(t.now.Server)
	if change(e); !known {
		t.debugDispatch("dispatch accepted", e.d)
	}
	t.advance(e)
}
