package session

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
)

// renewTimeout leaves cert-manager time to sign.
const renewTimeout = 2 * time.Minute

// renew gets the next certificate when 70 to 90 % of the present one's life is over. It then asks
// for a new session that uses the new certificate.
func (s *stream) renew(ctx context.Context) error {
	due := renewalTime(s.Credentials.Identity(), s.Jitter())
	s.Log.DebugContext(ctx, "renewal planned", "due", due, "notAfter", s.Credentials.Identity().Leaf().NotAfter)
	if err := backoff.Sleep(ctx, max(due.Sub(s.Now()), s.RenewPause)); err != nil {
		return err
	}
	retry := backoff.New(30*time.Second, 10*time.Minute)
	for {
		err := s.renewOnce(ctx)
		if err == nil {
			s.requestEnd(errRenewed)
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

// renewalTime spreads the renewals of a fleet that was paired in one afternoon; jitter is in [0,
// 1).
func renewalTime(current store.Identity, jitter float64) time.Time {
	leaf := current.Leaf()
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return leaf.NotBefore.Add(time.Duration((0.7 + 0.2*jitter) * float64(life)))
}

// renewOnce renews the certificate, with a new key if the key in use is old enough. It recovers a
// certificate that expired before a renewal succeeded.
func (s *stream) renewOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	current := s.Credentials.Identity()
	rotate := rotationDue(current, s.RotateKeyEvery, s.Now())
	s.Log.DebugContext(ctx, "renewing the certificate", "rotate", rotate, "expired", s.certificateExpired())
	if s.certificateExpired() {
		// The gateway accepts no calls on a connection that outlived its certificate. The session
		// continues meanwhile: without an issuer it is the machine's only way to the cluster.
		return s.recoverCertificate(ctx)
	}
	if rotate {
		err := s.rotate(ctx, current)
		if status.Code(err) != codes.FailedPrecondition {
			return err
		}
		// The cluster does not know the certificate of the pinned key (for example because the
		// answer to an earlier rotation was lost). A renewal repairs that; the next one rotates.
		s.Log.Warn("key not rotated; renewing the certificate of the key in use", "error", err)
	}
	csr, err := identity.NewCSR(current.Key, current.ID)
	if err != nil {
		return err
	}
	_, client := s.link.Current()
	answer, err := client.RotateDeviceCertificate(ctx, &gatewayv1.RotateDeviceCertificateRequest{Csr: csr})
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if err := s.Credentials.replaceCertificate(current.Key, current.KeyMade, answer.GetChain()); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	s.Log.Info("certificate renewed", "notAfter", s.Credentials.Identity().Leaf().NotAfter)
	return nil
}

// rotationDue reports whether the key has reached the age every; every 0 means never.
func rotationDue(current store.Identity, every time.Duration, now time.Time) bool {
	return every > 0 && !now.Before(current.KeyMade.Add(every))
}

// rotate gets a certificate for a new key, with a proof signed by the key in use. It stores the new
// key only together with its certificate. A crash before that loses nothing, because the old key
// stays the pin. After that the next session uses the new key, which makes it the pin.
func (s *stream) rotate(ctx context.Context, current store.Identity) error {
	made := s.Now()
	next, err := ecdsa.GenerateKey(elliptic.P256(), s.Rand)
	if err != nil {
		return fmt.Errorf("make the next key: %w", err)
	}
	csr, err := identity.NewCSR(next, current.ID)
	if err != nil {
		return err
	}
	l, client := s.link.Current()
	proof, err := identity.SignProof(current.Key, s.Rand, identity.Proof{Method: identity.ProofRotate, Exporter: l.Exporter, CSR: csr})
	if err != nil {
		return err
	}
	answer, err := client.RotateDeviceCertificate(ctx, &gatewayv1.RotateDeviceCertificateRequest{Csr: csr, Proof: proof})
	if err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	if err := s.Credentials.replaceCertificate(next, made, answer.GetChain()); err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	s.Log.Info("key rotated", "notAfter", s.Credentials.Identity().Leaf().NotAfter)
	return nil
}
