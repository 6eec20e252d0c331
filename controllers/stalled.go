package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
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
	"github.com/mooring-dev/mooring/internal/foreign"
)

// managerStalled owns the condition Stalled of a Node, and nothing else: several controllers
// reconcile a Node, and the API server may refuse the writes of each.
const managerStalled = v1alpha1.FieldManagerController + "-stalled"

// maxStalledBytes bounds the message of the condition Stalled.
const maxStalledBytes = 4096

// failureEvents is the failureReporter for objects that have no condition of this controller. It
// records an Event about the object.
type failureEvents struct {
	recorder events.EventRecorder
	find     func(context.Context, client.ObjectKey) client.Object
}

// newFailureEvents returns the reporter for objects of the same kind as empty.
func newFailureEvents(mgr ctrl.Manager, empty client.Object) failureEvents {
	return failureEvents{recorder: mgr.GetEventRecorder("mooring-controller"), find: func(ctx context.Context, key client.ObjectKey) client.Object {
		object := empty.DeepCopyObject().(client.Object)
		if err := mgr.GetClient().Get(ctx, key, object); err != nil {
			object.SetNamespace(key.Namespace) // without the UID, "kubectl describe" does not show the Event
			object.SetName(key.Name)
		}
		return object
	}}
}

func (f failureEvents) report(ctx context.Context, key client.ObjectKey, failed error) error {
	emitEvent(f.recorder, f.find(ctx, key), corev1.EventTypeWarning, failureReason(failed), failed.Error())
	return nil
}

func (f failureEvents) resolve(context.Context, client.ObjectKey) error { return nil }

// failureReason returns the reason of a condition or an event about a failed reconcile.
func failureReason(failed error) string {
	if isRefusal(failed) {
		return v1alpha1.ReasonWriteRefused
	}
	return v1alpha1.ReasonReconcileFailed
}

// newStalledNodeReporter returns the failureReporter for Nodes.
func newStalledNodeReporter(mgr ctrl.Manager, clock clock.PassiveClock, controller string, shared *stalledMessages) failureReporter {
	return newStalledReporter(mgr, clock, controller, shared, func() client.Object { return &v1alpha1.Node{} })
}

func newStalledCodeReporter(mgr ctrl.Manager, clock clock.PassiveClock) failureReporter {
	return newStalledReporter(mgr, clock, "pairingcode", &stalledMessages{}, func() client.Object { return &v1alpha1.PairingCode{} })
}

func newStalledRequestReporter(mgr ctrl.Manager, clock clock.PassiveClock) failureReporter {
	return newStalledReporter(mgr, clock, "pairingrequest", &stalledMessages{}, func() client.Object { return &v1alpha1.PairingRequest{} })
}

// stalledReporter is the failureReporter for objects with conditions: it maintains the condition
// Stalled, and records an Event.
type stalledReporter struct {
	client     client.Client
	live       client.Reader
	clock      clock.PassiveClock
	events     events.EventRecorder
	controller string
	messages   *stalledMessages
	newObject  func() client.Object
}

func newStalledReporter(mgr ctrl.Manager, clock clock.PassiveClock, controller string, messages *stalledMessages, newObject func() client.Object) *stalledReporter {
	return &stalledReporter{client: mgr.GetClient(), live: mgr.GetAPIReader(), clock: clock, events: mgr.GetEventRecorder("mooring-controller"),
		controller: controller, messages: messages, newObject: newObject}
}

func (s *stalledReporter) report(ctx context.Context, key client.ObjectKey, failed error) error {
	text := s.messages.set(key, s.controller, failed.Error())
	object := s.newObject()
	if err := s.live.Get(ctx, key, object); err != nil {
		return client.IgnoreNotFound(err)
	}
	emitEvent(s.events, object, corev1.EventTypeWarning, failureReason(failed), failed.Error())
	return s.write(ctx, object, failureReason(failed), text)
}

func (s *stalledReporter) resolve(ctx context.Context, key client.ObjectKey) error {
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
			setCondition(&o.Status.Conditions, notReady, s.clock.Now())
		}
	case *v1alpha1.PairingRequest:
		setOrRemoveCondition(&o.Status.Conditions, next, s.clock.Now())
		if text != "" && o.Status.Phase == v1alpha1.PairingRequestPending && o.Spec.Decision != nil {
			decided := next
			decided.Type, decided.Status = v1alpha1.ConditionApproved, metav1.ConditionUnknown
			decided.Message = foreign.TruncateLine("the decision is recorded and not carried out yet: "+text, maxStalledBytes)
			setCondition(&o.Status.Conditions, decided, s.clock.Now())
		}
	}
	_, err := saveStatus(ctx, s.client, before, object)
	return err
}

// applyToNode applies the condition as the only field of managerStalled.
func (s *stalledReporter) applyToNode(ctx context.Context, node *v1alpha1.Node, next metav1.Condition) error {
	status := v1alpha1.NodeStatus{}
	if next.Message != "" {
		status.Conditions = []metav1.Condition{withTransition(node.Status.Conditions, next, s.clock.Now())}
	}
	return applyNodeStatus(ctx, s.client, node, managerStalled, status)
}

// setOrRemoveCondition sets a condition, or removes it when it has no message.
func setOrRemoveCondition(conditions *[]metav1.Condition, next metav1.Condition, now time.Time) {
	if next.Message == "" {
		meta.RemoveStatusCondition(conditions, next.Type)
		return
	}
	setCondition(conditions, next, now)
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

// stalledMessages stores, by object, the current failure of each controller. A new leader starts
// without messages and collects them again.
type stalledMessages struct {
	mu       sync.Mutex
	messages map[client.ObjectKey]map[string]string
}

// set changes the message of one controller about an object; "" removes it. It returns the text of
// the condition: the messages of all controllers.
func (m *stalledMessages) set(key client.ObjectKey, controller, message string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	byController := m.messages[key]
	if message == "" {
		delete(byController, controller)
	} else {
		if m.messages == nil {
			m.messages = map[client.ObjectKey]map[string]string{}
		}
		if byController == nil {
			byController = map[string]string{}
			m.messages[key] = byController
		}
		byController[controller] = message
	}
	if len(byController) == 0 {
		delete(m.messages, key)
		return ""
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(byController)) {
		texts = append(texts, fmt.Sprintf("%s controller: %s", name, byController[name]))
	}
	return foreign.TruncateLine(strings.Join(texts, "; "), maxStalledBytes)
}
