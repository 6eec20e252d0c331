package controllers

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// approvalReason tells a person's approval from one that a code made.
func approvalReason(request *v1alpha1.PairingRequest) string {
	decision := request.Spec.Decision
	if decision.By == controllerUser {
		return v1alpha1.ReasonAutoApproved
	}
	return v1alpha1.ReasonApproved
}

// controllerUser is what admission stamps on decisions of the controller itself.
const controllerUser = "system:serviceaccount:" + v1alpha1.SystemNamespace + ":" + v1alpha1.ControllerServiceAccount

// follow sees an approved request through to the first certificate of its machine.
func (r *pairingRequestReconciler) follow(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	node, err := r.liveNode(ctx, request)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !ownNode(node, request) {
		return r.finish(ctx, request, v1alpha1.PairingRequestFailed, refuse(v1alpha1.ErrorNodeDeleted,
			"Node %q was deleted or given to another machine: pair this one again", request.Spec.NodeName))
	}
	progress := issueProgress(node, request)
	if progress.reason == v1alpha1.ReasonCompleted {
		return r.finish(ctx, request, v1alpha1.PairingRequestCompleted, progress)
	}
	return ctrl.Result{}, r.note(ctx, request.DeepCopy(), request, v1alpha1.ConditionIssued, metav1.ConditionFalse, progress)
}

// issueProgress says how far the first certificate of a machine is; ReasonCompleted: published.
func issueProgress(node *v1alpha1.Node, request *v1alpha1.PairingRequest) *refusal {
	for _, certificate := range node.Status.CertificateHistory {
		if certificate.PublicKeySHA256 == request.Spec.PublicKeySHA256 {
			return &refusal{v1alpha1.ReasonCompleted, fmt.Sprintf("Node %q has its certificate", node.Name)}
		}
	}
	wish, issued := node.Status.CertificateRequest, node.Status.Issued
	switch {
	case wish == nil:
		return &refusal{v1alpha1.ReasonAwaitingCertificateRequest, "the machine has to send its certificate request"}
	case issued != nil && issued.RequestSHA256 == requestSHA256(wish.Request) && issued.Error != "":
		return &refusal{v1alpha1.ReasonCertificateRefused, issued.Error}
	}
	valid := meta.FindStatusCondition(node.Status.Conditions, v1alpha1.ConditionCertificateValid)
	if valid != nil && (valid.Reason == v1alpha1.ReasonIssuerNotReady || valid.Reason == v1alpha1.ErrorPolicyUnproven) {
		return &refusal{valid.Reason, valid.Message}
	}
	return &refusal{v1alpha1.ReasonAwaitingCertificate, "the certificate is being made"}
}
