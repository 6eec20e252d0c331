package dispatchtable

import (
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// maxLoggedUID bounds, in bytes, the UID that a machine sends for a dispatch that it does not have.
const maxLoggedUID = 64

// Outcomes of a review, for the log and the metrics.
const (
	ReviewAllowed = "allowed"
	ReviewRefused = "refused"
	ReviewFailed  = "failed"
)

// Debug writes a debug line about a dispatch. pairs are keys and values. They must contain no input
// and no output. The call allocates nothing while debug lines are disabled, because pairs holds
// strings and stays on the stack of the caller.
func Debug(log logr.Logger, message string, d *v1alpha1.CapabilityDispatch, pairs ...string) {
	log = log.V(1)
	if !log.Enabled() {
		return
	}
	values := make([]any, 0, 8+len(pairs))
	values = append(values, "namespace", d.Namespace, "node", d.Spec.NodeName, "dispatch", d.Name, "uid", string(d.UID))
	for _, v := range pairs {
		values = append(values, v)
	}
	log.Info(message, values...)
}

// debugDispatch writes a debug line about a dispatch, under the rules of Debug.
func (t *Table) debugDispatch(message string, d *v1alpha1.CapabilityDispatch, pairs ...string) {
	Debug(t.Log, message, d, pairs...)
}

// DebugSession writes a debug line about a session, under the rules of Debug.
func DebugSession(log logr.Logger, node types.NamespacedName, id, message string, pairs ...string) {
	log = log.V(1)
	if !log.Enabled() {
		return
	}
	values := make([]any, 0, 6+len(pairs))
	values = append(values, "namespace", node.Namespace, "node", node.Name, "session", id)
	for _, v := range pairs {
		values = append(values, v)
	}
	log.Info(message, values...)
}

func (t *Table) debug(message string, pairs ...string) {
	DebugSession(t.Log, t.session.Node, t.session.ID, message, pairs...)
}

// log returns a logger with the name of the Node. It is created for each line, because a session
// writes few lines and idles for days.
func (t *Table) log() logr.Logger {
	return t.Log.WithValues("namespace", t.session.Node.Namespace, "node", t.session.Node.Name)
}

// debugWindow writes a debug line if dispatches wait because of the Node, and not of themselves.
func (t *Table) debugWindow() {
	switch {
	case t.queue.len() == 0:
	case t.now.Node.Spec.DesiredState == v1alpha1.NodeSuspended:
		t.debug("offers wait", "reason", "the node is suspended")
	default:
		t.debug("offers wait", "reason", "the node has as many dispatches as spec.maxInFlight")
	}
}

// debugReview writes a debug line about the review of the requester of a dispatch.
func (t *Table) debugReview(e *entry, review dispatch.Review, err error) {
	outcome := ReviewAllowed
	switch {
	case err != nil:
		outcome = ReviewFailed
	case review == dispatch.ReviewRefused:
		outcome = ReviewRefused
	}
	t.debugDispatch("requester reviewed", e.d, "outcome", outcome)
}

// ErrorCode returns the error code of a status, or "".
func ErrorCode(status *v1alpha1.CapabilityDispatchStatus) string {
	if status.Error == nil {
		return ""
	}
	return status.Error.Code
}

// stageName returns the name of a stage for debug lines.
func stageName(stage gatewayv1.Clearance_Stage) string {
	switch stage {
	case gatewayv1.Clearance_STAGE_HOLD:
		return "hold"
	case gatewayv1.Clearance_STAGE_ASK:
		return "ask"
	case gatewayv1.Clearance_STAGE_START:
		return "start"
	default:
		return "unknown"
	}
}
