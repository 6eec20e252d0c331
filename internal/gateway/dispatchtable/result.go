package dispatchtable

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
)

func (t *Table) handleResult(r *gatewayv1.Result) {
	ref := r.GetDispatch()
	if e := t.entries[types.UID(ref.GetUid())]; e != nil {
		t.handleKnownResult(e, resultOf(r))
		return
	}
	if !t.session.UnknownResults.AllowN(t.now.Local, 1) {
		t.Observer.ResultThrottled()
		t.debug("result of an unknown dispatch throttled", "uid", foreign.TruncateLine(ref.GetUid(), maxLoggedUID))
		return // The machine keeps the result and sends it again.
	}
	t.handleUnknownResult(ref, resultOf(r))
}

// handleKnownResult handles the result of a dispatch that the Table has.
func (t *Table) handleKnownResult(e *entry, result *dispatch.Result) {
	t.debugDispatch("result received", e.d, "phase", string(result.Outcome), "execution", string(result.Execution))
	if e.settled {
		t.send(settledMessage(RefOf(e.d)))
		return
	}
	t.queue.remove(e)
	t.releaseSlot(e)
	e.offered = true
	if !e.resultReplaced {
		result.MaxPayloadBytes = e.d.Spec.MaxPayloadBytes
		e.result, e.retryAt = result, time.Time{}
	}
	t.advance(e)
	t.offer()
}

// handleUnknownResult handles a result for a dispatch that the Table does not have. The dispatch
// may be from an earlier session, deleted, or another machine's. The answer is the same in the last
// two cases, so a machine cannot detect the dispatches of others.
func (t *Table) handleUnknownResult(ref *gatewayv1.DispatchRef, result *dispatch.Result) {
	if ref.GetNamespace() != t.session.Node.Namespace {
		t.dropResult(ref, "result of another machine dropped")
		return
	}
	t.effects.Jobs = append(t.effects.Jobs, &Read{Dispatch: ref, result: result})
}

// handleReadForResult continues with a result whose dispatch was read live.
func (t *Table) handleReadForResult(r *Read, live *v1alpha1.CapabilityDispatch, err error) {
	switch {
	case errors.Is(err, mailbox.ErrDeleted), err == nil && !t.belongsToNode(live):
		t.dropResult(r.Dispatch, "result of an unknown dispatch dropped")
		return
	case err != nil:
		return // The session is ending; the machine keeps the result.
	}
	uid := types.UID(r.Dispatch.GetUid())
	e := t.entries[uid]
	if e == nil {
		e = &entry{d: live, offered: true, accepted: true, leftWatch: dispatch.Finished(live.Status)}
		t.entries[uid] = e
	}
	t.handleKnownResult(e, r.result)
}

// dropResult makes the machine forget a result that is not recorded.
func (t *Table) dropResult(ref *gatewayv1.DispatchRef, message string) {
	t.debug(message, "uid", foreign.TruncateLine(ref.GetUid(), maxLoggedUID))
	t.Observer.ForeignResult()
	t.send(settledMessage(ref))
}

// belongsToNode reports whether a dispatch is for this machine. A dispatch that had ended when the
// Node was created was for an earlier machine of that name. The reason is that a Node is not
// removed while one of its dispatches is unfinished. Creation times are truncated to seconds.
func (t *Table) belongsToNode(d *v1alpha1.CapabilityDispatch) bool {
	if (types.NamespacedName{Namespace: d.Namespace, Name: d.Spec.NodeName}) != t.session.Node {
		return false
	}
	ended, created := d.Status.CompletedTime, t.now.Node.CreationTimestamp
	return ended == nil || !ended.Time.Before(created.Add(time.Second))
}
