package pairingrequest

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/certstatus"
	"github.com/mooring-dev/mooring/internal/identity"
)

// approvalReason returns the reason of an approval by a person or by a code.
func approvalReason(request *v1alpha1.PairingRequest) string {
	decision := request.Spec.Decision
	if decision.By == controllerUser {
		return v1alpha1.ReasonAutoApproved
	}
	return v1alpha1.ReasonApproved
}

// controllerUser is the user name that admission stamps on decisions of the controller itself.
const controllerUser = "system:serviceaccount:" + v1alpha1.SystemNamespace + ":" + v1alpha1.ControllerServiceAccount

// awaitCertificate waits for the first certificate of an approved machine and completes or fails
// the request.
func (r *reconciler) awaitCertificate(ctx context.Context, s *scope) step.Outcome {
	if s.request.Status.Phase != v1alpha1.PairingRequestApproved {
		return step.Continue()
	}
	node, err := r.nodeOf(ctx, s.request)
	if err != nil {
		return step.Fail(err)
	}
	if !isNodeOfRequest(node, s.request) {
		return step.Refuse(status.Reasonf(v1alpha1.ErrorNodeDeleted,
			"Node %q was deleted or given to another machine: pair this one again", s.request.Spec.NodeName))
	}
	progress := issueProgress(node, s.request)
	if progress.Reason == v1alpha1.ReasonCompleted {
		r.finish(s, v1alpha1.PairingRequestCompleted, progress)
		return step.Done()
	}
	remaining := collectDeadline(s.request, node).Sub(r.clock.Now())
	if remaining <= 0 {
		return r.failUncollected(ctx, node)
	}
	r.announce(s, v1alpha1.ConditionIssued, metav1.ConditionFalse, "AwaitCertificate", progress)
	return step.Wait(remaining, "the machine has not fetched its certificate")
}

// nodeOf returns the Node of an approved request. It uses the cached Node while time is left: its
// end will then be an event. Otherwise it reads the Node live.
func (r *reconciler) nodeOf(ctx context.Context, request *v1alpha1.PairingRequest) (*v1alpha1.Node, error) {
	cached := &v1alpha1.Node{}
	err := r.client.Get(ctx, client.ObjectKey{Namespace: request.Namespace, Name: request.Spec.NodeName}, cached)
	if err != nil || !isNodeOfRequest(cached, request) || !r.clock.Now().Before(collectDeadline(request, cached)) {
		return r.liveNode(ctx, request)
	}
	return cached, nil
}

// collectTimeout is how long an approved machine may stay silent before its request ends. It is
// long enough for a machine that was switched off in the evening.
const collectTimeout = 24 * time.Hour

// collectDeadline returns when an approved request ends, unless the machine gets or requests its
// certificate before. A long outage of the issuer does not count against the machine.
func collectDeadline(request *v1alpha1.PairingRequest, node *v1alpha1.Node) time.Time {
	last := request.CreationTimestamp.Time
	if approved := meta.FindStatusCondition(request.Status.Conditions, v1alpha1.ConditionApproved); approved != nil {
		last = approved.LastTransitionTime.Time
	}
	if certRequest := node.Status.CertificateRequest; certRequest != nil && certRequest.RequestedTime.After(last) && isForKey(certRequest, request.Spec.PublicKeySHA256) {
		last = certRequest.RequestedTime.Time
	}
	return last.Add(collectTimeout)
}

// isForKey reports whether a certificate request was made with that key. A Node that was taken over
// may still have the request of the previous machine.
func isForKey(certRequest *v1alpha1.NodeCertificateRequest, key string) bool {
	request, err := x509.ParseCertificateRequest(certRequest.Request)
	return err == nil && identity.FingerprintSPKIDER(request.RawSubjectPublicKeyInfo) == key
}

// failUncollected fails the request of a machine that never fetched its certificate. A Node that
// never had a certificate stands for no machine, and the same machine needs its name when it is
// invited again. The Node is deleted first, so that a crash in between leaves a request that still
// ends. A Node that was taken over, or that was revoked, stays.
func (r *reconciler) failUncollected(ctx context.Context, node *v1alpha1.Node) step.Outcome {
	if len(node.Status.CertificateHistory) == 0 && node.Spec.DesiredState != v1alpha1.NodeRevoked {
		preconditions := client.Preconditions{UID: &node.UID, ResourceVersion: &node.ResourceVersion}
		if err := r.client.Delete(ctx, node, preconditions); client.IgnoreNotFound(err) != nil {
			return step.Fail(fmt.Errorf("remove node %q, which never had a certificate: %w", node.Name, err))
		}
	}
	return step.Refuse(status.Reasonf(v1alpha1.ReasonNotCollected,
		"approved, but the machine did not fetch its certificate within %d h: pair it again with a new code", int(collectTimeout.Hours())))
}

// issueProgress returns the state of a machine's first certificate; ReasonCompleted means
// published.
func issueProgress(node *v1alpha1.Node, request *v1alpha1.PairingRequest) *status.Reason {
	for _, certificate := range node.Status.CertificateHistory {
		if certificate.PublicKeySHA256 == request.Spec.PublicKeySHA256 {
			return status.NewReason(v1alpha1.ReasonCompleted, fmt.Sprintf("Node %q has its certificate", node.Name))
		}
	}
	certRequest, issued := node.Status.CertificateRequest, node.Status.Issued
	switch {
	case certRequest == nil:
		return status.NewReason(v1alpha1.ReasonAwaitingCertificateRequest, "the machine has to send its certificate request")
	case certstatus.Answers(issued, certRequest.Request) && issued.Error != "":
		return status.NewReason(v1alpha1.ReasonCertificateRefused, issued.Error)
	}
	valid := meta.FindStatusCondition(node.Status.Conditions, v1alpha1.ConditionCertificateValid)
	if valid != nil && (valid.Reason == v1alpha1.ReasonIssuerNotReady || valid.Reason == v1alpha1.ErrorPolicyUnproven) {
		return status.NewReason(valid.Reason, valid.Message)
	}
	return status.NewReason(v1alpha1.ReasonAwaitingCertificate, "the certificate is being made")
}
