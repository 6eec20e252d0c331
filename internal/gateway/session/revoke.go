package session

import (
	"context"

	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// maxRevocationReason bounds the reason that a machine gives for its revocation, in bytes.
const maxRevocationReason = 256

// RevokeDevicePairing records that the machine gave up its identity and ends its session. A
// gateway may not revoke a Node. The controller revokes it after it has verified the machine's
// signature.
func (s *Service) RevokeDevicePairing(ctx context.Context, request *gatewayv1.RevokeDevicePairingRequest) (*gatewayv1.RevokeDevicePairingResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	revocation, err := newRevocationRequest(id, request)
	if err != nil {
		return nil, err
	}
	for range openAttempts {
		node, err := s.getAuthorizedNode(ctx, id)
		if err != nil {
			return nil, err
		}
		now := metav1.NewTime(s.Time.Now())
		revocation.RequestedTime = now
		next := nodestatus.FieldsOf(node)
		next.RevocationRequest = revocation
		nodestatus.SetCondition(&next.Conditions, metav1.Condition{Type: v1alpha1.ConditionRevocationRequested, Status: metav1.ConditionTrue,
			Reason: v1alpha1.ReasonAgentRequested, Message: revocation.Reason}, now)
		if _, err = s.apply(ctx, node, next); err != nil {
			if apierrors.IsConflict(err) {
				continue
			}
			return nil, err
		}
		if sess := s.registry.get(keyOf(id)); sess != nil {
			sess.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: denial.New(codes.PermissionDenied, gatewayv1.ReasonIdentityGivenUp, "the machine gave up its identity")})
		}
		s.Log.Info("the machine gave up its identity", "namespace", node.Namespace, "node", node.Name)
		return &gatewayv1.RevokeDevicePairingResponse{}, nil
	}
	return nil, denial.New(codes.Unavailable, gatewayv1.ReasonNodeContended, "the Node of this machine changes too often; try again")
}

// newRevocationRequest returns the request for revocation. It contains everything that the controller
// needs to verify the machine's signature by itself.
func newRevocationRequest(id peer.Identity, request *gatewayv1.RevokeDevicePairingRequest) (*v1alpha1.NodeRevocationRequest, error) {
	proof := identity.Proof{Method: identity.ProofRevoke, Request: id.ID.URI(), Exporter: id.Exporter}
	if err := identity.VerifyProof(id.Certificate.PublicKey, proof, request.GetProof()); err != nil {
		return nil, denial.New(codes.Unauthenticated, gatewayv1.ReasonProofInvalid, "the proof is not a signature of the machine's key over its id and this connection: a revocation needs this signature")
	}
	reason := foreign.TruncateLine(request.GetReason(), maxRevocationReason)
	if reason == "" {
		reason = "The machine gave up its identity."
	}
	return &v1alpha1.NodeRevocationRequest{
		Reason: reason, PublicKey: id.Certificate.RawSubjectPublicKeyInfo, Exporter: id.Exporter, Signature: request.GetProof(),
	}, nil
}
