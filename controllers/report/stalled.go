package report

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// managerStalled owns the condition Stalled of a Node, and nothing else: several controllers
// reconcile a Node, and the API server may refuse the writes of each.
const managerStalled = v1alpha1.FieldManagerController + "-stalled"

// NewStalledNode returns the backoff.Reporter for Nodes.
func NewStalledNode(mgr ctrl.Manager, clock clock.PassiveClock, controller string, shared *StalledMessages) backoff.Reporter {
	return newStalledReporter(mgr, clock, controller, shared, func() client.Object { return &v1alpha1.Node{} })
}

// NewStalledCode returns the backoff.Reporter for PairingCodes.
func NewStalledCode(mgr ctrl.Manager, clock clock.PassiveClock) backoff.Reporter {
	return newStalledReporter(mgr, clock, "pairingcode", &StalledMessages{}, func() client.Object { return &v1alpha1.PairingCode{} })
}

// NewStalledRequest returns the backoff.Reporter for PairingRequests.
func NewStalledRequest(mgr ctrl.Manager, clock clock.PassiveClock) backoff.Reporter {
	return newStalledReporter(mgr, clock, "pairingrequest", &StalledMessages{}, func() client.Object { return &v1alpha1.PairingRequest{} })
}

// stalledReporter is the backoff.Reporter for objects with conditions: it maintains the condition
// Stalled, and records an Event.
type stalledReporter struct {
	client     client.Client
	live       client.Reader
	clock      clock.PassiveClock
	events     events.EventRecorder
	controller string
	messages   *StalledMessages
	newObject  func() client.Object
}

func newStalledReporter(mgr ctrl.Manager, clock clock.PassiveClock, controller string, messages *StalledMessages, newObject func() client.Object) *stalledReporter {
	return &stalledReporter{client: mgr.GetClient(), live: mgr.GetAPIReader(), clock: clock, events: NewRecorder(mgr),
		controller: controller, messages: messages, newObject: newObject}
}

func (s *stalledReporter) Report(ctx context.Context, key client.ObjectKey, failed error) error {
	text := s.messages.set(key, s.controller, failed.Error())
	object := s.newObject()
	if err := s.live.Get(ctx, key, object); err != nil {
		return client.IgnoreNotFound(err)
	}
	Emit(s.events, object, corev1.EventTypeWarning, backoff.FailureReason(failed), "Reconcile", failed.Error())
	return s.write(ctx, object, backoff.FailureReason(failed), text)
}

func (s *stalledReporter) Resolve(ctx context.Context, key client.ObjectKey) error {
	text := s.messages.set(key, s.controller, "")
	object := s.newObject()
	err := s.client.Get(ctx, key, object, &client.GetOptions{UnsafeDisableDeepCopy: ptr.To(true)})
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	condition := meta.FindStatusCondition(conditionsOf(object), v1alpha1.ConditionStalled)
	if condition == nil || condition.Message == text {
		return nil
	}
	current := s.newObject()
	if err := s.live.Get(ctx, key, current); err != nil {
		return client.IgnoreNotFound(err)
	}
	if meta.FindStatusCondition(conditionsOf(current), v1alpha1.ConditionStalled) == nil {
		return nil // the cache is behind
	}
	return s.write(ctx, current, condition.Reason, text)
}

// write sets the condition Stalled, or removes it when there is no text.
func (s *stalledReporter) write(ctx context.Context, object client.Object, reason, text string) error {
	next := metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: reason,
		Message: text, ObservedGeneration: object.GetGeneration()}
	before := object.DeepCopyObject().(client.Object)
	switch o := object.(type) {
	case *v1alpha1.Node:
		return s.applyToNode(ctx, o, next)
	case *v1alpha1.PairingCode:
		setOrRemoveCondition(&o.Status.Conditions, next, s.clock.Now())
		if text != "" && o.Status.Phase == "" {
			notReady := next
			notReady.Type, notReady.Status, notReady.Reason = v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonSecretsPending
			status.SetCondition(&o.Status.Conditions, notReady, s.clock.Now())
		}
	case *v1alpha1.PairingRequest:
		setOrRemoveCondition(&o.Status.Conditions, next, s.clock.Now())
		if text != "" && o.Status.Phase == v1alpha1.PairingRequestPending && o.Spec.Decision != nil {
			decided := next
			decided.Type, decided.Status = v1alpha1.ConditionApproved, metav1.ConditionUnknown
			decided.Message = foreign.TruncateLine("the decision is recorded and not carried out yet: "+text, maxStalledBytes)
			status.SetCondition(&o.Status.Conditions, decided, s.clock.Now())
		}
	}
	_, err := status.Save(ctx, s.client, before, object)
	return err
}

// applyToNode applies the condition as the only field of managerStalled.
func (s *stalledReporter) applyToNode(ctx context.Context, node *v1alpha1.Node, next metav1.Condition) error {
	applied := v1alpha1.NodeStatus{}
	if next.Message != "" {
		applied.Conditions = []metav1.Condition{status.WithTransition(node.Status.Conditions, next, s.clock.Now())}
	}
	return status.ApplyToNode(ctx, s.client, node, managerStalled, applied)
}

// setOrRemoveCondition sets a condition, or removes it when it has no message.
func setOrRemoveCondition(conditions *[]metav1.Condition, next metav1.Condition, now time.Time) {
	if next.Message == "" {
		meta.RemoveStatusCondition(conditions, next.Type)
		return
	}
	status.SetCondition(conditions, next, now)
}

func conditionsOf(object client.Object) []metav1.Condition {
	switch o := object.(type) {
	case *v1alpha1.Node:
		return o.Status.Conditions
	case *v1alpha1.PairingCode:
		return o.Status.Conditions
	case *v1alpha1.PairingRequest:
		return o.Status.Conditions
	default:
		return nil
	}
}
