package pairing

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// CompletePairingSession spends a try, verifies the confirmation, binds the code to the key and
// creates a PairingRequest. Only then does the machine get the gateway's confirmation.
func (s *Service) CompletePairingSession(ctx context.Context, request *gatewayv1.CompletePairingSessionRequest) (_ *gatewayv1.CompletePairingSessionResponse, err error) {
	connection, ok := peer.ConnectionFromContext(ctx)
	if !ok {
		return nil, denial.New(codes.Unauthenticated, gatewayv1.ReasonTLSRequired, "TLS is required")
	}
	defer func() { s.debugRefusal("pairing refused", connection, err) }()
	if request.GetServiceAccount() != nil {
		return s.completeWithToken(ctx, connection, request)
	}
	if request.GetCode() == nil {
		return nil, invalidArgument("evidence is missing: send the confirmation of a pairing session")
	}
	begun, ok := s.exchanges.take(request.GetCode().GetSessionId(), connection.Exporter)
	if !ok {
		return nil, errExchangeNotFound
	}
	claims, err := readMachineClaims(connection, request)
	if err != nil {
		return nil, err
	}
	if claims.nodeName != begun.nodeName {
		return nil, invalidArgument("node_name differs from that of BeginPairingSession")
	}
	stored, keys, err := s.verifyConfirmation(ctx, connection, begun, claims, request.GetCode().GetConfirmation())
	if errors.Is(err, errRecordNotFound) {
		return nil, errCodeNotAccepted
	}
	if err != nil {
		return nil, err
	}
	connection.MarkProven()
	pairingRequest, err := s.enroll(ctx, begun.lookupID, stored, claims, keys.TranscriptSHA256())
	if errors.Is(err, errRecordNotFound) {
		return nil, errCodeNotAccepted
	}
	if err != nil {
		return nil, s.retryableError(err, keys)
	}
	return s.completeResponse(begun, keys, pairingRequest), nil
}

// verifyConfirmation spends a try before it checks the confirmation, so that a crash in between
// costs a try and never gives one.
func (s *Service) verifyConfirmation(ctx context.Context, connection peer.Connection, begun exchange, claims machineClaims, confirmation []byte) (record, *spake.Keys, error) {
	if begun.spakeGateway == nil {
		return record{}, nil, errRecordNotFound
	}
	stored, err := s.records.takeTry(ctx, begun.lookupID, claims.publicKeySHA256, s.options.Clock.Now())
	if err != nil {
		s.debug("pairing try not taken", "namespace", stored.namespace, "code", stored.codeName, "triesUsed", stored.triesUsed)
		return record{}, nil, err
	}
	aad := spake.AAD(connection.Exporter, begun.lookupID, claims.publicKeySHA256, begun.bundle.SHA256())
	keys, err := begun.spakeGateway.Finish(begun.share, aad)
	if err == nil {
		err = keys.VerifyPeer(confirmation)
	}
	if err != nil {
		s.failures.add(connection.Source())
		s.options.Log.Info("pairing confirmation refused", "namespace", stored.namespace, "code", stored.codeName,
			"address", connection.Address.String(), "triesUsed", stored.triesUsed+1)
		return record{}, nil, errRecordNotFound
	}
	s.debug("pairing confirmed", "namespace", stored.namespace, "code", stored.codeName, "address", connection.Address, "node", claims.nodeName)
	return stored, keys, nil
}

func (s *Service) completeResponse(begun exchange, keys *spake.Keys, pairingRequest *v1alpha1.PairingRequest) *gatewayv1.CompletePairingSessionResponse {
	signedAnswer := spake.Answer{
		TrustBundle:  begun.bundle.PEM(),
		Namespace:    pairingRequest.Namespace,
		Name:         pairingRequest.Name,
		NodeEndpoint: s.options.NodeEndpoint,
	}
	return &gatewayv1.CompletePairingSessionResponse{
		Confirmation: keys.Confirmation(),
		Namespace:    signedAnswer.Namespace,
		Name:         signedAnswer.Name,
		NodeEndpoint: signedAnswer.NodeEndpoint,
		TrustBundle:  signedAnswer.TrustBundle,
		Mac:          keys.MACAnswer(signedAnswer),
		ExpiresTime:  timestamppb.New(pairingRequest.Spec.ExpiresTime.Time),
	}
}

// requestName returns the same name for every retry of a key with a code.
func requestName(nodeName, publicKeySHA256, lookupID string) string {
	return nodeName + requestSuffix(publicKeySHA256, lookupID)
}

func requestSuffix(publicKeySHA256, lookupID string) string {
	return "-" + publicKeySHA256[:8] + "-" + strings.ToLower(lookupID)
}
