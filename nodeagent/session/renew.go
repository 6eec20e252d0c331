package session

import (
	"context"
	"fmt"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/backoff"
	"github.com/mooring-dev/mooring/nodeagent/store"
)

// renewTimeout is room for cert-manager to sign.
const renewTimeout = 2 * time.Minute

// renew gets the next certificate when 70 to 90 % of this one's life is over, then
// asks for a new session that uses it.
func (s *stream) renew(ctx context.Context) error {
	due := renewalTime(s.Credentials.Identity(), s.Jitter())
	if err := backoff.Sleep(ctx, max(due.Sub(s.Now()), s.RenewPause)); err != nil {
		return err
	}
	retry := backoff.New(30*time.Second, 10*time.Minute)
	for {
		err := s.renewOnce(ctx)
		if err == nil {
			s.askToLeave(errRenewed)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.Log.Error("certificate not renewed; trying again", "notAfter", s.Credentials.Identity().Leaf().NotAfter, "error", err)
		if err := backoff.Sleep(ctx, retry.Next()); err != nil {
			return err
		}
	}
}

// renewalTime spreads a fleet that was paired in one afternoon: jitter is in [0, 1).
func renewalTime(current store.Identity, jitter float64) time.Time {
	leaf := current.Leaf()
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return leaf.NotBefore.Add(time.Duration((0.7 + 0.2*jitter) * float64(life)))
}

func (s *stream) renewOnce(ctx context.Context) error {
	current := s.Credentials.Identity()
	csr, err := identity.NewRequest(current.Key, current.ID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	answer, err := s.client.RotateDeviceCertificate(ctx, &gatewayv1.RotateDeviceCertificateRequest{Csr: csr})
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if err := s.Credentials.adopt(answer.GetChain()); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	s.Log.Info("certificate renewed", "notAfter", s.Credentials.Identity().Leaf().NotAfter)
	return nil
}
