// Package renew renews the certificate of this machine, replaces its key, and recovers a certificate
// that expired.
package renew

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/credentials"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// renewTimeout leaves cert-manager time to sign.
const renewTimeout = 2 * time.Minute

// Options configure a Renewer; all fields are required.
type Options struct {
	Credentials *credentials.Credentials
	// Dialer opens the connections on which a certificate is recovered.
	Dialer link.Dialer
	// Now returns the machine's own time, which decides about certificates.
	Now  func() time.Time
	Rand io.Reader
	// Jitter returns a random number in [0, 1).
	Jitter func() float64
	// MinPause is the minimum time between the start of a session and a renewal. A certificate that
	// was issued late in its own life must not cause a tight loop.
	MinPause time.Duration
	// RotateKeyEvery is the age at which a renewal also replaces the key; 0 means never.
	RotateKeyEvery time.Duration
	Log            *slog.Logger
}

// Renewer keeps the certificate of the credentials valid.
type Renewer struct{ Options }

// New returns a Renewer.
func New(o Options) *Renewer { return &Renewer{o} }

// Session is the session over which a certificate is renewed.
type Session interface {
	// Current returns the connection of the session, which may be another one at the next call.
	Current() (*link.Link, gatewayv1.NodeServiceClient)
}

// Run gets the next certificate when 70 to 90 % of the present one's life is over, and then returns
// nil. It returns an error only when ctx ends first.
func (r *Renewer) Run(ctx context.Context, session Session) error {
	due := renewalTime(r.Credentials.Identity(), r.Jitter())
	r.Log.DebugContext(ctx, "renewal planned", "due", due, "notAfter", r.Credentials.Identity().Leaf().NotAfter)
	if err := backoff.Sleep(ctx, max(due.Sub(r.Now()), r.MinPause)); err != nil {
		return err
	}
	retry := backoff.New(30*time.Second, 10*time.Minute)
	for {
		err := r.renewOnce(ctx, session)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.Log.Error("certificate not renewed; trying again", "notAfter", r.Credentials.Identity().Leaf().NotAfter, "error", err)
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
func (r *Renewer) renewOnce(ctx context.Context, session Session) error {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	current := r.Credentials.Identity()
	rotate, expired := rotationDue(current, r.RotateKeyEvery, r.Now()), r.Credentials.Expired(r.Now())
	r.Log.DebugContext(ctx, "renewing the certificate", "rotate", rotate, "expired", expired)
	if expired {
		// The gateway accepts no calls on a connection that outlived its certificate. The session
		// continues meanwhile: without an issuer it is the machine's only way to the cluster.
		return r.Recover(ctx)
	}
	if rotate {
		err := r.rotate(ctx, session, current)
		if status.Code(err) != codes.FailedPrecondition {
			return err
		}
		// The cluster does not know the certificate of the pinned key (for example because the
		// answer to an earlier rotation was lost). A renewal repairs that; the next one rotates.
		r.Log.Warn("key not rotated; renewing the certificate of the key in use", "error", err)
	}
	csr, err := identity.NewCSR(current.Key, current.ID)
	if err != nil {
		return err
	}
	_, client := session.Current()
	answer, err := client.RotateDeviceCertificate(ctx, &gatewayv1.RotateDeviceCertificateRequest{Csr: csr})
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	if err := r.Credentials.ReplaceCertificate(current.Key, current.KeyMade, answer.GetChain()); err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	r.Log.Info("certificate renewed", "notAfter", r.Credentials.Identity().Leaf().NotAfter)
	return nil
}

// rotationDue reports whether the key has reached the age every; every 0 means never.
func rotationDue(current store.Identity, every time.Duration, now time.Time) bool {
	return every > 0 && !now.Before(current.KeyMade.Add(every))
}

// rotate gets a certificate for a new key, with a proof signed by the key in use. It stores the new
// key only together with its certificate. A crash before that loses nothing, because the old key
// stays the pin. After that the next session uses the new key, which makes it the pin.
func (r *Renewer) rotate(ctx context.Context, session Session, current store.Identity) error {
	made := r.Now()
	next, err := ecdsa.GenerateKey(elliptic.P256(), r.Rand)
	if err != nil {
		return fmt.Errorf("make the next key: %w", err)
	}
	csr, err := identity.NewCSR(next, current.ID)
	if err != nil {
		return err
	}
	l, client := session.Current()
	proof, err := identity.SignProof(current.Key, r.Rand, identity.Proof{Method: identity.ProofRotate, Exporter: l.Exporter, CSR: csr})
	if err != nil {
		return err
	}
	answer, err := client.RotateDeviceCertificate(ctx, &gatewayv1.RotateDeviceCertificateRequest{Csr: csr, Proof: proof})
	if err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	if err := r.Credentials.ReplaceCertificate(next, made, answer.GetChain()); err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	r.Log.Info("key rotated", "notAfter", r.Credentials.Identity().Leaf().NotAfter)
	return nil
}
