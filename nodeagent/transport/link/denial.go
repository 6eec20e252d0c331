package link

import (
	"regexp"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// reasonForm is the form of the reasons for machines. The marker of earlier gateways has another one.
var reasonForm = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,62}$`)

// DenialReason returns the reason of a gateway's denial, one of gatewayv1.Reason…, or a reason that
// only a later gateway knows. It is empty for an earlier gateway and for other errors.
func DenialReason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if ok && info.GetDomain() == gatewayv1.ErrorDomain && reasonForm.MatchString(info.GetReason()) {
			return info.GetReason()
		}
	}
	return ""
}

// Explanation describes the reason of a denial to people.
type Explanation struct {
	// Fact completes the sentence "The gateway refuses this machine: ".
	Fact string
	// NextStep is the action that ends the denials.
	NextStep string
}

// ExplainDenial returns the explanation of a reason that ends the pairing of this machine. It returns
// the zero Explanation for other reasons.
func ExplainDenial(reason string) Explanation {
	switch reason {
	case gatewayv1.ReasonNodeRevoked:
		return Explanation{"its Node is revoked",
			"pair this machine again with another --identity-dir, under a new name or after the revoked Node is deleted"}
	case gatewayv1.ReasonNodeDeleted:
		return Explanation{"its Node was deleted", "pair this machine again with another --identity-dir"}
	case gatewayv1.ReasonNodeNotFound:
		return Explanation{"there is no Node for its certificate", "pair this machine again with another --identity-dir"}
	case gatewayv1.ReasonKeyNotPinned:
		return Explanation{"its Node is pinned to another key",
			"if another installation replaced this one, stop this agent; otherwise pair this machine again with another --identity-dir"}
	default:
		return Explanation{}
	}
}
