package session

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
)

// askPerson adds a dispatch to the session about which a person is asked.
func askPerson(t *testing.T, s *session, at *store, c *clocktesting.FakeClock) *v1alpha1.CapabilityDispatch {
	t.Helper()
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	d.ResourceVersion, d.Spec.ExpirySeconds = "1", 3600
	s.addAccepted(t.Context(), at, d)
	s.handleMessage(t.Context(), &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation{
		AwaitingLocalMediation: &gatewayv1.AwaitingLocalMediation{Dispatch: dispatchtable.RefOf(d), AskedUser: "ada", Since: timestamppb.New(c.Now())}}})
	s.runPending(t.Context())
	if at.dispatch.Status.Phase != v1alpha1.DispatchAwaitingLocalMediation {
		t.Fatalf("phase %s, want a person asked", at.dispatch.Status.Phase)
	}
	return d
}

// cancelSent reports whether the machine was sent a Cancel.
func (s *session) cancelSent() bool {
	return slices.ContainsFunc(s.sent(), func(m *gatewayv1.StreamNodeEventsResponse) bool { return m.GetCancel() != nil })
}

// A machine that is not authorized any more first confirms that a mediated dispatch did not start.
func TestARefusedMachineConfirmsCancellationsFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		change    func(*v1alpha1.Node)
		cancelled bool
	}{
		"revoked":               {func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeRevoked }, true},
		"pinned to another key": {func(n *v1alpha1.Node) { n.Spec.PublicKeySHA256 = "other" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			askPerson(t, s, at, c)
			tt.change(s.node)
			s.stopUnauthorized(t.Context(), authorize(s.node, s.caller))
			if s.cancelSent() != tt.cancelled || s.isStopped() == tt.cancelled {
				t.Fatalf("cancelled %t, stopped %t", s.cancelSent(), s.isStopped())
			}
			if !tt.cancelled {
				return
			}
			c.Step(confirmationGrace - 1)
			if s.stopWhenConfirmed(); s.isStopped() {
				t.Error("the session ends before confirmationGrace has passed")
			}
			c.Step(1)
			if s.stopWhenConfirmed(); !s.isStopped() {
				t.Error("the session does not end after confirmationGrace")
			}
		})
	}
}

// The session ends when the last result has arrived, and offers nothing meanwhile.
func TestARefusedSessionEndsWithTheLastConfirmation(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	d := askPerson(t, s, at, c)
	node := s.node.DeepCopy()
	node.ResourceVersion, node.Spec.DesiredState = "2", v1alpha1.NodeRevoked
	s.blockPublisher()
	s.wakeAt = noon.Add(idleTimer)
	s.applyNode(t.Context(), node, false)
	if s.isStopped() || !s.draining || !s.cancelSent() || !s.wakeAt.Equal(noon.Add(confirmationGrace)) {
		t.Fatalf("stopped %t, draining %t, sent %v, wakes at %s", s.isStopped(), s.draining, s.sent(), s.wakeAt)
	}
	s.handleMessage(t.Context(), &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{
		Dispatch: dispatchtable.RefOf(d), Outcome: gatewayv1.Result_OUTCOME_CANCELLED, Execution: gatewayv1.Result_EXECUTION_NOT_STARTED}}})
	if !s.isStopped() || s.ending.reason != v1alpha1.ReasonSessionEnded || denialReason(s.ending.err) != gatewayv1.ReasonNodeRevoked {
		t.Errorf("stopped %t, ending %+v", s.isStopped(), s.ending)
	}
}

// A machine that started a dispatch before its cancellation arrived still reports the result.
func TestARefusedSessionWaitsForTheResultOfARunThatStarted(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	d := askPerson(t, s, at, c)
	node := s.node.DeepCopy()
	node.ResourceVersion, node.Spec.DesiredState = "2", v1alpha1.NodeRevoked
	s.blockPublisher()
	s.applyNode(t.Context(), node, false)
	s.handleMessage(t.Context(), &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{Progress: &gatewayv1.Progress{Dispatch: dispatchtable.RefOf(d)}}})
	if s.isStopped() {
		t.Error("the session ends before the machine reported the result")
	}
}
