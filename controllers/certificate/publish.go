package certificate

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/nodestatus"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/certstatus"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	// historyLength is the maximum number of entries in status.certificateHistory.
	historyLength = 5
	// maxChainText and maxErrorText bound the fields of status.issued, in bytes.
	maxChainText = 16384
	maxErrorText = 1024
)

// statusWithChain returns the answer to a request whose certificate was issued.
func statusWithChain(node *v1alpha1.Node, chain []*x509.Certificate) (v1alpha1.NodeStatus, error) {
	text := identity.MarshalCertificatesPEM(chain...)
	if len(text) > maxChainText {
		return v1alpha1.NodeStatus{}, fmt.Errorf("the chain has %d bytes, at most %d can be published: shorten the CA's", len(text), maxChainText)
	}
	history := []v1alpha1.CertificateInfo{*certstatus.Describe(chain[0])}
	for _, previous := range node.Status.CertificateHistory {
		if previous.FingerprintSHA256 != history[0].FingerprintSHA256 && len(history) < historyLength {
			history = append(history, previous)
		}
	}
	return v1alpha1.NodeStatus{
		Issued: &v1alpha1.IssuedCertificate{
			RequestSHA256: identity.FingerprintCSR(node.Status.CertificateRequest.Request), Chain: string(text),
		},
		CertificateHistory: history,
	}, nil
}

// statusWithError returns the answer to a request that was refused.
func statusWithError(node *v1alpha1.Node, cause error) v1alpha1.NodeStatus {
	return v1alpha1.NodeStatus{
		Issued: &v1alpha1.IssuedCertificate{
			RequestSHA256: identity.FingerprintCSR(node.Status.CertificateRequest.Request), Error: foreign.TruncateLine(cause.Error(), maxErrorText),
		},
		CertificateHistory: node.Status.CertificateHistory,
	}
}

// certificateValidCondition returns the condition CertificateValid. problem, if not nil, is the
// reason why the next certificate is missing; the message includes it even while the current
// certificate is valid.
func certificateValidCondition(node *v1alpha1.Node, problem *status.Reason, now time.Time) (condition metav1.Condition, expires string) {
	condition = metav1.Condition{Type: v1alpha1.ConditionCertificateValid, Status: metav1.ConditionFalse, ObservedGeneration: node.Generation}
	end, issued := nodestatus.CertificateEnd(node)
	switch {
	case !issued:
		condition.Reason, condition.Message = v1alpha1.ReasonCertificatePending, "no certificate was issued yet"
	case !now.Before(end):
		condition.Reason, condition.Message = v1alpha1.ReasonCertificateExpired, "the newest certificate expired at "+formatTime(end)
	default:
		condition.Status = metav1.ConditionTrue
		condition.Reason, condition.Message = v1alpha1.ReasonCertificateIssued, "the newest certificate is valid until "+formatTime(end)
	}
	if problem != nil {
		condition.Reason = problem.Reason
		condition.Message += "; the next certificate: " + problem.Message
		if !issued {
			condition.Message = problem.Message
		}
	}
	if issued {
		expires = formatTime(end)
	}
	return condition, expires
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// updateStatus updates the part of the status that FieldManagerIssuance owns. answer replaces issued
// and certificateHistory; nil keeps them.
func (r *reconciler) updateStatus(ctx context.Context, node *v1alpha1.Node, answer *v1alpha1.NodeStatus, problem *status.Reason) (ctrl.Result, error) {
	next := v1alpha1.NodeStatus{Issued: node.Status.Issued, CertificateHistory: node.Status.CertificateHistory}
	if answer != nil {
		next = *answer
	}
	updated := node.DeepCopy()
	updated.Status.CertificateHistory = next.CertificateHistory
	condition, expires := certificateValidCondition(updated, problem, r.clock.Now())
	condition = status.WithTransition(node.Status.Conditions, condition, r.clock.Now())
	next.CertificateExpires = expires
	next.Conditions = []metav1.Condition{condition}

	previous := meta.FindStatusCondition(node.Status.Conditions, condition.Type)
	if wait := nodestatus.InitialGrace(node, r.clock.Now()); wait > 0 && previous == nil && answer == nil && problem == nil {
		return ctrl.Result{}, &step.PostponedError{After: wait} // do not report "no certificate" during the initial grace period
	}
	if answer != nil || previous == nil || *previous != condition || node.Status.CertificateExpires != expires {
		if err := status.ApplyToNode(ctx, r.client, node, v1alpha1.FieldManagerIssuance, next); err != nil {
			return ctrl.Result{}, err
		}
	}
	if previous == nil || previous.Reason != condition.Reason || answer != nil && !equality.Semantic.DeepEqual(node.Status.Issued, answer.Issued) {
		r.emitCertificateEvent(ctx, node, condition)
	}
	if end, issued := nodestatus.CertificateEnd(updated); issued && end.After(r.clock.Now()) {
		step.DebugWait(ctx, "the certificate is valid", end.Sub(r.clock.Now()))
		return ctrl.Result{RequeueAfter: end.Sub(r.clock.Now())}, nil
	}
	return ctrl.Result{}, nil
}

func (r *reconciler) emitCertificateEvent(ctx context.Context, node *v1alpha1.Node, condition metav1.Condition) {
	ctrl.LoggerFrom(ctx).Info("certificate changed", "reason", condition.Reason)
	severity := corev1.EventTypeNormal
	switch condition.Reason {
	case v1alpha1.ReasonCertificatePending:
		return // nothing happened yet
	case v1alpha1.ReasonCertificateRefused, v1alpha1.ReasonIssuerNotReady, v1alpha1.ReasonCertificateExpired, v1alpha1.ErrorPolicyUnproven:
		severity = corev1.EventTypeWarning
	}
	report.Emit(r.events, node, severity, condition.Reason, "IssueCertificate", condition.Message)
}
