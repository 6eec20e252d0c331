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

// managerCertificate applies the part of Node.status that the certificate path owns: issued,
// certificateHistory, certificateExpires and the condition CertificateValid. It is a manager of
// its own beside FieldManagerController (the Node reconciler: trust, presence of an ended
// session, fingerprintShort, the conditions Ready and CapabilityReviewRequired), because an
// apply has to carry every field of its manager and the two are written at different times.
const managerCertificate = v1alpha1.FieldManagerController + "-certificate"

// saveStatus writes the status of an object whose status the controller alone writes, if
// it differs from before. It fails with a conflict when the object changed since it was read.
func saveStatus(ctx context.Context, c client.Client, before, after client.Object) (saved bool, err error) {
	if equality.Semantic.DeepEqual(before, after) {
		return false, nil
	}
	err = c.Status().Update(ctx, after, client.FieldOwner(v1alpha1.FieldManagerController))
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("save status: %w", err)
	}
	return err == nil, nil // what is gone needs no status
}

// applyNodeStatus applies the fields of one manager to the status of a Node: all that the
// manager owns, every time; what is left out and owned by nobody else is removed. It fails with
// a conflict when the Node changed since it was read.
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

// withTransition dates a condition: at now if its status is another than it was, else as before.
// Its message becomes one line without unsafe characters: errors repeat text of machines, webhooks
// and issuers.
func withTransition(existing []metav1.Condition, next metav1.Condition, now time.Time) metav1.Condition {
	next.Message = foreign.Short(next.Message, maxConditionBytes)
	next.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	if was := meta.FindStatusCondition(existing, next.Type); was != nil && was.Status == next.Status {
		next.LastTransitionTime = was.LastTransitionTime
	}
	return next
}

// maxConditionBytes is the longest message of a condition that the API server takes.
const maxConditionBytes = 32768

// setCondition puts a dated condition among the others.
func setCondition(conditions *[]metav1.Condition, next metav1.Condition, now time.Time) {
	meta.SetStatusCondition(conditions, withTransition(*conditions, next, now))
}

// maxNoteBytes is the longest note of an event that the API server takes.
const maxNoteBytes = 1024

// announce makes an event of a persisted change. Its note is one line without unsafe characters.
func announce(recorder events.EventRecorder, about client.Object, severity, reason, message string) {
	recorder.Eventf(about, nil, severity, reason, "Reconcile", "%s", foreign.Short(message, maxNoteBytes))
}

// gateText is why the gate is closed, without what changes from one look to the next (an age):
// a status is written when something happened, not while time passes.
func gateText(closed error) string {
	for cause := errors.Unwrap(closed); cause != nil; cause = errors.Unwrap(closed) {
		closed = cause
	}
	return closed.Error()
}
