package session

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// maxRevocationReason bounds what a machine may say about giving up its identity, in bytes.
const maxRevocationReason = 256

// RevokeDevicePairing records that the machine gave up its identity and ends its session.
// A gateway may not revoke: the controller does, on this word of the machine itself.
func (s *Service) RevokeDevicePairing(ctx context.Context, request *gatewayv1.RevokeDevicePairingRequest) (*gatewayv1.RevokeDevicePairingResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	reason := clean(request.GetReason(), maxRevocationReason)
	if reason == "" {
		reason = "The machine gave up its identity."
	}
	for range openAttempts {
		node, err := s.liveNode(ctx, id)
		if err != nil {
			return nil, err
		}
		next := fieldsOf(node)
		setCondition(&next.Conditions, metav1.Condition{Type: v1alpha1.ConditionRevocationRequested, Status: metav1.ConditionTrue,
			Reason: v1alpha1.ReasonAgentRequested, Message: reason}, metav1.NewTime(s.Time.Now()))
		if _, err = s.apply(ctx, node, next); err != nil {
			if apierrors.IsConflict(err) {
				continue
			}
			return nil, err
		}
		if held := s.registry.of(keyOf(id)); held != nil {
			held.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: status.Error(codes.PermissionDenied, "the machine gave up its identity")})
		}
		s.Log.Info("the machine gave up its identity", "namespace", node.Namespace, "node", node.Name)
		return &gatewayv1.RevokeDevicePairingResponse{}, nil
	}
	return nil, status.Error(codes.Unavailable, "the Node of this machine changes too often; try again")
}
