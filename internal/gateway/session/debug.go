package session

import (
	"strconv"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// maxLoggedUID bounds, in bytes, the UID that a machine sends for a dispatch that it does not have.
const maxLoggedUID = 64

// debugDispatch writes a debug line about a dispatch. pairs are keys and values. They must contain
// no input and no output. The call allocates nothing while debug lines are disabled, because pairs
// holds strings and stays on the stack of the caller.
func (s *Service) debugDispatch(message string, d *v1alpha1.CapabilityDispatch, pairs ...string) {
	log := s.Log.V(1)
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

// debug writes a debug line about the session, under the same rules as debugDispatch.
func (s *session) debug(message string, pairs ...string) {
	if !s.service.Log.V(1).Enabled() {
		return
	}
	values := make([]any, 0, 2+len(pairs))
	values = append(values, "session", s.id)
	for _, v := range pairs {
		values = append(values, v)
	}
	s.log().V(1).Info(message, values...)
}

// debugDispatch writes a debug line about a dispatch of the session.
func (s *session) debugDispatch(message string, d *v1alpha1.CapabilityDispatch, pairs ...string) {
	s.service.debugDispatch(message, d, pairs...)
}

// debugHello writes a debug line about a Hello.
func (s *session) debugHello(hello *gatewayv1.Hello) {
	if !s.service.Log.V(1).Enabled() {
		return
	}
	s.debug("hello received", "dialCounter", strconv.FormatUint(hello.GetDialCounter(), 10),
		"agentVersion", foreign.TruncateLine(hello.GetAgentVersion(), 64), "unsettled", strconv.Itoa(len(hello.GetUnsettled())))
}

// debugWindow writes a debug line if dispatches wait because of the Node, and not of themselves.
func (s *session) debugWindow() {
	switch {
	case s.queue.len() == 0:
	case s.node.Spec.DesiredState == v1alpha1.NodeSuspended:
		s.debug("offers wait", "reason", "the node is suspended")
	default:
		s.debug("offers wait", "reason", "the node has as many dispatches as spec.maxInFlight")
	}
}

// debugReview writes a debug line about the review of the requester of a dispatch.
func (s *session) debugReview(e *entry, review dispatch.Review, err error) {
	outcome := reviewAllowed
	switch {
	case err != nil:
		outcome = reviewFailed
	case review == dispatch.ReviewRefused:
		outcome = reviewRefused
	}
	s.debugDispatch("requester reviewed", e.d, "outcome", outcome)
}

// errorCode returns the error code of a status, or "".
func errorCode(status *v1alpha1.CapabilityDispatchStatus) string {
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
