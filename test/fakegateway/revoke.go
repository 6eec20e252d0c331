package fakegateway

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// RevokeDevicePairing checks the proof as a gateway does, and counts the request.
func (n *Node) RevokeDevicePairing(ctx context.Context, request *gatewayv1.RevokeDevicePairingRequest) (*gatewayv1.RevokeDevicePairingResponse, error) {
	state, exporter, err := connectionState(ctx)
	if err != nil {
		return nil, err
	}
	leaf := state.PeerCertificates[0]
	proof := identity.Proof{Method: identity.ProofRevoke, Request: leaf.URIs[0].String(), Exporter: exporter}
	if err := identity.VerifyProof(leaf.PublicKey, proof, request.GetProof()); err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	n.Revoked.Add(1)
	return &gatewayv1.RevokeDevicePairingResponse{}, nil
}
