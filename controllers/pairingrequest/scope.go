package pairingrequest

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/status"
)

// scope is what the steps of one reconcile share.
type scope struct {
	// request is the PairingRequest. Steps change its status only here; writeStatus stores it.
	request *v1alpha1.PairingRequest
	// stored is the request as it was read.
	stored *v1alpha1.PairingRequest
	// code is the code of the request, or its rule as a code. check sets it.
	code *v1alpha1.PairingCode
	// node is the Node with the requested name, or nil if there is none. approve reads it live.
	node *v1alpha1.Node
	// timeLeft is the time until an undecided request expires. expireUndecided sets it.
	timeLeft time.Duration
	// event is emitted when the changed status is stored; nil means no event.
	event *event
}

// event is the Event about a change.
type event struct {
	action string // what the controller did
	reason *status.Reason
}

func newScope(request *v1alpha1.PairingRequest) *scope {
	return &scope{request: request, stored: request.DeepCopy()}
}

// writeStatus stores the status if steps changed it, and then emits the event.
func (r *reconciler) writeStatus(ctx context.Context, s *scope) error {
	if equality.Semantic.DeepEqual(s.stored.Status, s.request.Status) {
		return nil
	}
	saved, err := status.Save(ctx, r.client, s.stored, s.request)
	if err != nil || !saved || s.event == nil {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("request changed", "phase", s.request.Status.Phase, "reason", s.event.reason.Reason, "node", s.request.Spec.NodeName)
	severity := corev1.EventTypeNormal
	if s.request.Status.Phase == v1alpha1.PairingRequestFailed {
		severity = corev1.EventTypeWarning
	}
	report.Emit(r.events, s.request, severity, s.event.reason.Reason, s.event.action, s.event.reason.Message)
	return nil
}

// announce sets a condition, and emits an event about it when it is stored.
func (r *reconciler) announce(s *scope, kind string, value metav1.ConditionStatus, action string, reason *status.Reason) {
	r.setCondition(s, kind, value, reason)
	s.event = &event{action: action, reason: reason}
}

func (r *reconciler) setCondition(s *scope, kind string, value metav1.ConditionStatus, reason *status.Reason) {
	status.SetCondition(&s.request.Status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason.Reason, Message: reason.Message, ObservedGeneration: s.request.Generation,
	}, r.clock.Now())
}

// endActions are the actions that end a request, by its last phase.
var endActions = map[v1alpha1.PairingRequestPhase]string{
	v1alpha1.PairingRequestCompleted: "CompleteRequest",
	v1alpha1.PairingRequestDenied:    "DenyRequest",
	v1alpha1.PairingRequestExpired:   "ExpireRequest",
	v1alpha1.PairingRequestFailed:    "FailRequest",
}

// finish makes a request terminal with the given reason.
func (r *reconciler) finish(s *scope, phase v1alpha1.PairingRequestPhase, reason *status.Reason) {
	completed := metav1.ConditionFalse
	s.request.Status.Phase = phase
	switch {
	case phase == v1alpha1.PairingRequestCompleted:
		completed = metav1.ConditionTrue
		r.setCondition(s, v1alpha1.ConditionIssued, metav1.ConditionTrue, status.NewReason(v1alpha1.ReasonCertificateIssued, reason.Message))
	case s.stored.Status.Phase != v1alpha1.PairingRequestApproved:
		r.setCondition(s, v1alpha1.ConditionApproved, metav1.ConditionFalse, reason)
	}
	r.announce(s, v1alpha1.ConditionCompleted, completed, endActions[phase], reason)
}
