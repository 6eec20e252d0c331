package pairing

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// BeginPairingSession answers the agent's share with a share of the gateway. For a code that cannot
// be used it does the same work and returns a random share, and the exchange never completes.
func (s *Service) BeginPairingSession(ctx context.Context, request *gatewayv1.BeginPairingSessionRequest) (_ *gatewayv1.BeginPairingSessionResponse, err error) {
	connection, ok := peer.ConnectionFromContext(ctx)
	if !ok {
		return nil, denial.New(codes.Unauthenticated, gatewayv1.ReasonTLSRequired, "TLS is required")
	}
	defer func() { s.debugRefusal("pairing exchange refused", connection, err) }()
	if wait := s.failures.blockedFor(connection.Source()); wait > 0 {
		return nil, denial.RateLimited(wait, "too many wrong codes came from this address; it is blocked for a while")
	}
	if err := checkBegin(request); err != nil {
		return nil, err
	}
	if !s.exchangeLimiter.allow(connection.Source()) {
		return nil, denial.RateLimited(time.Second, "too many machines try to pair at the same time; try again")
	}
	begun := exchange{
		exporter: connection.Exporter,
		lookupID: request.GetLookupId(),
		nodeName: request.GetNodeName(),
		share:    request.GetShare(),
		bundle:   s.options.Bundle(),
	}
	share, err := s.startExchange(ctx, &begun)
	if err != nil {
		return nil, err
	}
	bundle, err := hex.DecodeString(begun.bundle.SHA256())
	if err != nil {
		return nil, fmt.Errorf("decode bundle fingerprint: %w", err)
	}
	id, ok, err := s.exchanges.add(s.options.Rand, begun)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, denial.RateLimited(exchangeLifetime, "too many pairing sessions are open; try again")
	}
	connection.MarkAdvanced()
	s.debug("pairing exchange begun", "address", connection.Address, "node", begun.nodeName)
	return &gatewayv1.BeginPairingSessionResponse{SessionId: id, Share: share, BundleSha256: bundle}, nil
}

// checkBegin rejects requests that no honest agent sends. Its statuses reveal nothing about any
// code.
func checkBegin(request *gatewayv1.BeginPairingSessionRequest) error {
	if err := spake.CheckLookupID(request.GetLookupId()); err != nil {
		return invalidArgument("lookup_id: %v", err)
	}
	if err := spake.CheckShare(request.GetShare()); err != nil {
		return invalidArgument("share: %v", err)
	}
	return checkNodeName(request.GetNodeName())
}

// startExchange starts the gateway's side of an exchange and returns its share.
func (s *Service) startExchange(ctx context.Context, begun *exchange) ([]byte, error) {
	stored, err := s.records.get(ctx, s.options.Live, begun.lookupID)
	if err != nil && !errors.Is(err, errRecordNotFound) {
		return nil, err
	}
	if err == nil && stored.isUsable(s.options.Clock.Now()) {
		begun.spakeGateway, err = spake.NewGateway(stored.scalar, s.options.Rand)
		if err == nil {
			s.debug("pairing code is usable", "namespace", stored.namespace, "code", stored.codeName)
			return begun.spakeGateway.Share(), nil
		}
		// The machine gets the same answer as without a record; the log has the error.
		s.options.Log.Error(err, "cannot use pairing record", "record", stored.secret.Name)
	}
	s.debug("pairing code is not usable", "namespace", stored.namespace, "code", stored.codeName)
	share, err := spake.RandomShare(s.options.Rand)
	if err != nil {
		return nil, fmt.Errorf("draw share: %w", err)
	}
	return share, nil
}
