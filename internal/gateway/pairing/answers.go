package pairing

import (
	"google.golang.org/protobuf/types/known/timestamppb"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/certificates"
)

// finalResponse returns the answer for a request that ended without a certificate, and nil for any
// other.
func finalResponse(found *v1alpha1.PairingRequest) *gatewayv1.GetPairingRequestStatusResponse {
	switch found.Status.Phase {
	case v1alpha1.PairingRequestDenied:
		reason := "an approver denied the request"
		if found.Spec.Decision != nil && found.Spec.Decision.Reason != "" {
			reason = found.Spec.Decision.Reason
		}
		return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Denied{
			Denied: &gatewayv1.PairingDenied{Reason: reason},
		}}
	case v1alpha1.PairingRequestFailed:
		return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Failed{
			Failed: &gatewayv1.PairingFailed{Reason: conditionText(found, v1alpha1.ConditionCompleted, "the controller could not complete the request")},
		}}
	case v1alpha1.PairingRequestExpired:
		return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Expired{
			Expired: &gatewayv1.PairingExpired{},
		}}
	default:
		return nil
	}
}

// pendingResponse returns an answer with the awaited step, for the person at the machine.
func pendingResponse(found *v1alpha1.PairingRequest, refused *certificates.RefusedError) *gatewayv1.GetPairingRequestStatusResponse {
	return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Pending{
		Pending: &gatewayv1.PairingPending{
			ExpiresTime: timestamppb.New(found.Spec.ExpiresTime.Time),
			Message:     pendingMessage(found, refused),
		},
	}}
}

func pendingMessage(found *v1alpha1.PairingRequest, refused *certificates.RefusedError) string {
	switch {
	case refused != nil:
		return "approved, but the certificate was refused: " + refused.Message
	case isApproved(found):
		issued := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionIssued)
		if issued != nil && issued.Status != metav1.ConditionTrue {
			return "approved; waiting for the certificate: " + issued.Reason + ": " + issued.Message
		}
		return "approved; waiting for the certificate"
	case found.Status.Phase == v1alpha1.PairingRequestPending:
		return "waiting for an approver to decide"
	default:
		return "waiting for the controller to check the request"
	}
}

// conditionText returns "Reason: message" of a condition, or a default.
func conditionText(found *v1alpha1.PairingRequest, kind, otherwise string) string {
	condition := meta.FindStatusCondition(found.Status.Conditions, kind)
	if condition == nil {
		return otherwise
	}
	if condition.Message == "" {
		return condition.Reason
	}
	return condition.Reason + ": " + condition.Message
}
