package dispatchtable

import (
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
)

// settle writes the result of the machine to the dispatch and then sends Settled, so that the
// machine may forget the result.
func (t *Table) settle(e *entry) {
	result, gateway := *e.result, t.Gateway
	t.write(e, "settle", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		return dispatch.Settle(d.Status, result, gateway, now)
	}, func(err error) {
		switch {
		case err == nil:
			t.Observer.Settled(e.d.Status.Phase)
			t.markSettled(e)
			t.send(settledMessage(RefOf(e.d)))
		case apicall.IsContentRefusal(err) && !e.resultReplaced:
			t.debugDispatch("result replaced", e.d, "code", v1alpha1.ErrorInvalidOutput)
			// A result that cannot be stored must not keep its dispatch unfinished forever.
			e.resultReplaced, e.retryAt = true, time.Time{}
			e.result = &dispatch.Result{Outcome: v1alpha1.DispatchFailed, Execution: result.Execution,
				ErrorCode: v1alpha1.ErrorInvalidOutput, ErrorMessage: "the API server refused to store the result"}
			t.advance(e)
		}
		t.offer()
	})
}

// settleUnoffered ends a dispatch that was never offered. It reads the live Node before it records
// NotStarted. A newer session that was recorded after the dispatch was created could have offered
// it without a write. A session that is recorded later has to claim the dispatch, and one of the
// two writes fails.
func (t *Table) settleUnoffered(e *entry, decide Decision) {
	t.queue.remove(e)
	t.writeIfRecorded(e, "refuse", decide, t.unofferedSettled(e))
}

func (t *Table) unofferedSettled(e *entry) func(error) {
	return func(err error) {
		switch {
		case err == nil && dispatch.Finished(e.d.Status):
			t.Observer.Settled(e.d.Status.Phase)
			t.markSettled(e)
		case e.result != nil || e.offered:
			t.advance(e)
		default:
			t.queue.add(e)
			t.wakeIn(blockedRetryInterval)
		}
	}
}

// markSettled marks a dispatch as settled. The entry stays until the watch shows that the dispatch
// left, because older events may still arrive.
func (t *Table) markSettled(e *entry) {
	e.settled, e.settledAt = true, t.now.Local
	t.debugDispatch("dispatch settled", e.d, "phase", string(e.d.Status.Phase))
	e.approvalRequest, e.progress = nil, nil
	t.releaseSlot(e)
	if e.leftWatch {
		delete(t.entries, e.d.UID)
	}
}

func settledMessage(ref *gatewayv1.DispatchRef) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{Settled: &gatewayv1.Settled{Dispatch: ref}}}
}
