package pairing

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// CompletePairingSession spends a try, verifies the confirmation, binds the code to the key and
// creates a PairingRequest. Only then does the machine get the gateway's confirmation.
func (s *Service) CompletePairingSession(ctx context.Context, request *gatewayv1.CompletePairingSessionRequest) (*gatewayv1.CompletePairingSessionResponse, error) {
	connection, ok := peer.ConnectionOf(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "TLS is required")
	}
	if request.GetServiceAccount() != nil {
		return s.completeWithToken(ctx, connection, request)
	}
	if request.GetCode() == nil {
		return nil, invalid("evidence is missing: send the confirmation of a pairing session")
	}
	begun, ok := s.sessions.take(request.GetCode().GetSessionId(), connection.Exporter)
	if !ok {
		return nil, errNoSession
	}
	who, err := readApplicant(connection, request)
	if err != nil {
		return nil, err
	}
	if who.nodeName != begun.nodeName {
		return nil, invalid("node_name differs from that of BeginPairingSession")
	}
	stored, keys, err := s.verify(ctx, connection, begun, who, request.GetCode().GetConfirmation())
	if errors.Is(err, errNoRecord) {
		return nil, errNotAccepted
	}
	if err != nil {
		return nil, err
	}
	connection.Prove()
	made, err := s.enrol(ctx, begun.lookupID, stored, who, keys.TranscriptSHA256())
	if errors.Is(err, errNoRecord) {
		return nil, errNotAccepted
	}
	if err != nil {
		return nil, s.postponed(err, keys)
	}
	return s.answer(begun, keys, made), nil
}

// verify spends a try before it checks the confirmation, so that a crash in between costs a try and
// never gives one.
func (s *Service) verify(ctx context.Context, connection peer.Connection, begun session, who applicant, confirmation []byte) (record, *spake.Keys, error) {
	if begun.exchange == nil {
		return record{}, nil, errNoRecord
	}
	stored, err := s.records.takeTry(ctx, begun.lookupID, who.publicKeySHA256, s.options.Clock.Now())
	if err != nil {
		return record{}, nil, err
	}
	aad := spake.AAD(connection.Exporter, begun.lookupID, who.publicKeySHA256, begun.bundle.SHA256())
	keys, err := begun.exchange.Finish(begun.share, aad)
	if err == nil {
		err = keys.VerifyPeer(confirmation)
	}
	if err != nil {
		s.offences.add(connection.Source())
		s.options.Log.Info("pairing confirmation refused", "namespace", stored.namespace, "code", stored.codeName,
			"address", connection.Address.String(), "triesUsed", stored.triesUsed+1)
		return record{}, nil, errNoRecord
	}
	return stored, keys, nil
}

func (s *Service) answer(begun session, keys *spake.Keys, made *v1alpha1.PairingRequest) *gatewayv1.CompletePairingSessionResponse {
	told := spake.Answer{
		TrustBundle:  begun.bundle.PEM(),
		Namespace:    made.Namespace,
		Name:         made.Name,
		NodeEndpoint: s.options.NodeEndpoint,
	}
	return &gatewayv1.CompletePairingSessionResponse{
		Confirmation: keys.Confirmation(),
		Namespace:    told.Namespace,
		Name:         told.Name,
		NodeEndpoint: told.NodeEndpoint,
		TrustBundle:  told.TrustBundle,
		Mac:          keys.MACAnswer(told),
		ExpiresTime:  timestamppb.New(made.Spec.ExpiresTime.Time),
	}
}

// requestName returns the same name for every retry of a key with a code.
func requestName(nodeName, publicKeySHA256, lookupID string) string {
	return nodeName + requestSuffix(publicKeySHA256, lookupID)
}

func requestSuffix(publicKeySHA256, lookupID string) string {
	return "-" + publicKeySHA256[:8] + "-" + strings.ToLower(lookupID)
}
