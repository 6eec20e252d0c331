package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// saveStatus writes the status of an object if it differs from before. The controller must be the
// only writer of that status. It fails with a conflict if the object changed since it was read.
func saveStatus(ctx context.Context, c client.Client, before, after client.Object) (saved bool, err error) {
	if equality.Semantic.DeepEqual(before, after) {
		return false, nil
	}
	err = c.Status().Update(ctx, after, client.FieldOwner(v1alpha1.FieldManagerController))
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("save status: %w", err)
	}
	return err == nil, nil // a deleted object needs no status
}

// applyNodeStatus applies the fields of one manager to the status of a Node. status must hold all
// fields of the manager: a field that is left out is removed unless another manager owns it. It
// fails with a conflict if the Node changed since it was read.
func applyNodeStatus(ctx context.Context, c client.Client, node *v1alpha1.Node, manager string, status v1alpha1.NodeStatus) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return fmt.Errorf("encode status of node %q: %w", node.Name, err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{
			"namespace": node.Namespace, "name": node.Name, "uid": string(node.UID), "resourceVersion": node.ResourceVersion,
		},
		"status": fields,
	}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Node"))
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(manager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("apply status of node %q: %w", node.Name, err)
	}
	return nil
}

// withTransition sets the transition time of a condition: now if its status changed, else the
// previous time. It shortens the message to one line without unsafe characters, because errors
// repeat text of machines, webhooks and issuers.
func withTransition(existing []metav1.Condition, next metav1.Condition, now time.Time) metav1.Condition {
	next.Message = foreign.TruncateLine(next.Message, maxConditionBytes)
	next.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	if previous := meta.FindStatusCondition(existing, next.Type); previous != nil && previous.Status == next.Status {
		next.LastTransitionTime = previous.LastTransitionTime
	}
	return next
}

// maxConditionBytes is the longest condition message that the API server accepts.
const maxConditionBytes = 32768

// setCondition sets a condition and its transition time in a list.
func setCondition(conditions *[]metav1.Condition, next metav1.Condition, now time.Time) {
	meta.SetStatusCondition(conditions, withTransition(*conditions, next, now))
}

// maxNoteBytes is the longest event note that the API server accepts.
const maxNoteBytes = 1024

// emitEvent records an event about a stored change. Its note is one line without unsafe characters.
func emitEvent(recorder events.EventRecorder, object client.Object, severity, reason, message string) {
	recorder.Eventf(object, nil, severity, reason, "Reconcile", "%s", foreign.TruncateLine(message, maxNoteBytes))
}

// gateReason returns why the gate is closed. It omits the outer errors, whose text contains an age:
// the status must be written when something happened, not while time passes.
func gateReason(err error) string {
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(err) {
		err = cause
	}
	return err.Error()
}
