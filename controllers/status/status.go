// Package status writes the status of objects.
package status

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// Save writes the status of an object if it differs from before. The controller must be the
// only writer of that status. It fails with a conflict if the object changed since it was read.
func Save(ctx context.Context, c client.Client, before, after client.Object) (saved bool, err error) {
	if equality.Semantic.DeepEqual(before, after) {
		return false, nil
	}
	err = c.Status().Update(ctx, after, client.FieldOwner(v1alpha1.FieldManagerController))
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("save status: %w", err)
	}
	return err == nil, nil // a deleted object needs no status
}

// ApplyToNode applies the fields of one manager to the status of a Node. status must hold all
// fields of the manager: a field that is left out is removed unless another manager owns it. It
// fails with a conflict if the Node changed since it was read.
func ApplyToNode(ctx context.Context, c client.Client, node *v1alpha1.Node, manager string, status v1alpha1.NodeStatus) error {
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

// WithTransition sets the transition time of a condition: now if its status changed, else the
// previous time. It shortens the message to one line without unsafe characters, because errors
// repeat text of machines, webhooks and issuers.
func WithTransition(existing []metav1.Condition, next metav1.Condition, now time.Time) metav1.Condition {
	next.Message = foreign.TruncateLine(next.Message, maxConditionBytes)
	next.LastTransitionTime = metav1.NewTime(now.Truncate(time.Second))
	if previous := meta.FindStatusCondition(existing, next.Type); previous != nil && previous.Status == next.Status {
		next.LastTransitionTime = previous.LastTransitionTime
	}
	return next
}

// maxConditionBytes is the longest condition message that the API server accepts.
const maxConditionBytes = 32768

// SetCondition sets a condition and its transition time in a list.
func SetCondition(conditions *[]metav1.Condition, next metav1.Condition, now time.Time) {
	meta.SetStatusCondition(conditions, WithTransition(*conditions, next, now))
}

// EndedAt returns the time of the last transition of a condition, or the creation time of the
// object.
func EndedAt(conditions []metav1.Condition, kind string, created metav1.Time) time.Time {
	for _, condition := range conditions {
		if condition.Type == kind {
			return condition.LastTransitionTime.Time
		}
	}
	return created.Time
}
