package enroll

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// ErrRevocationRefused means that the gateway does not know this machine any more: the machine is revoked
// already, or its Node was deleted.
var ErrRevocationRefused = errors.New("the gateway refuses this machine; it may be revoked already")

// ErrCertificateExpired means that the certificate of this machine has expired: no gateway accepts
// a call with it. A running agent recovers the certificate.
var ErrCertificateExpired = errors.New("the certificate of this machine expired")

// revokeTimeout bounds the whole call.
const revokeTimeout = 30 * time.Second

// Revoke asks the gateway to revoke this machine and returns nil once the gateway has stored the
// request. The identity cannot be used after that.
func Revoke(ctx context.Context, s *store.Store, reason string, now func() time.Time, rand io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	current, err := s.Identity()
	if err != nil {
		return err
	}
	if end := current.Leaf().NotAfter; now().After(end) {
		return fmt.Errorf("%w at %s", ErrCertificateExpired, end.UTC().Format(time.RFC3339))
	}
	bundle, err := s.Trust()
	if err != nil {
		return err
	}
	config, err := s.Config()
	if err != nil {
		return err
	}
	certificate := current.TLSCertificate()
	l, err := link.NewGateways(link.Dialer{}, strings.Split(config.NodeEndpoint, ","), now).Dial(ctx, link.TLSConfig(bundle, &certificate, now))
	if err != nil {
		return err
	}
	defer l.Close()
	proof, err := identity.SignProof(current.Key, rand, identity.Proof{
		Method: identity.ProofRevoke, Request: current.ID.URI(), Exporter: l.Exporter,
	})
	if err != nil {
		return err
	}
	_, err = gatewayv1.NewNodeServiceClient(l.Conn).RevokeDevicePairing(ctx, &gatewayv1.RevokeDevicePairingRequest{Reason: reason, Proof: proof})
	switch {
	case err == nil:
		return nil
	case status.Code(err) == codes.PermissionDenied:
		return fmt.Errorf("%w: %s", ErrRevocationRefused, status.Convert(err).Message())
	case l.RefusalError() != nil:
		return fmt.Errorf("give up the identity: %w", l.RefusalError())
	default:
		return fmt.Errorf("give up the identity: %w", err)
	}
}
