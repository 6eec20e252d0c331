// Package farewell gives up the identity of a machine: it tells the cluster, in words
// signed by the device key, that the machine wishes to be revoked.
package farewell

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
	"github.com/mooring-dev/mooring/nodeagent/link"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

// ErrRefused says that the gateway does not know this machine any more: it is revoked
// already, or its Node is gone.
var ErrRefused = errors.New("the gateway refuses this machine; it may be revoked already")

// ErrLapsed says that the certificate of this machine is over: no gateway takes a call with it.
// An agent that runs recovers it.
var ErrLapsed = errors.New("the certificate of this machine is over")

// timeout is for the whole of it.
const timeout = 30 * time.Second

// Send sends the wish; nil when it is recorded. From then on the identity is worth nothing.
func Send(ctx context.Context, s *store.Store, reason string, now func() time.Time, rand io.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	current, err := s.Identity()
	if err != nil {
		return err
	}
	if end := current.Leaf().NotAfter; now().After(end) {
		return fmt.Errorf("%w since %s", ErrLapsed, end.UTC().Format(time.RFC3339))
	}
	bundle, err := s.Trust()
	if err != nil {
		return err
	}
	config, err := s.Config()
	if err != nil {
		return err
	}
	certificate := current.TLS()
	l, err := link.NewGateways(strings.Split(config.NodeEndpoint, ","), now).Dial(ctx, link.Verified(bundle, &certificate, now))
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
		return fmt.Errorf("%w: %s", ErrRefused, status.Convert(err).Message())
	case l.Refused() != nil:
		return fmt.Errorf("give up the identity: %w", l.Refused())
	default:
		return fmt.Errorf("give up the identity: %w", err)
	}
}
