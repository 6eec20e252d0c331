package session

import (
	"context"
	"fmt"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/link"
)

// lapsed tells whether the machine slept past its certificate's end.
func (r *Runner) lapsed() bool {
	return r.Now().After(r.Credentials.Identity().Leaf().NotAfter)
}

// recoverCertificate gets a new certificate for a lapsed one, at the pairing
// listener: the lapsed chain says who asks, a signature of its key that it is so.
func (r *Runner) recoverCertificate(ctx context.Context) error {
	current := r.Credentials.Identity()
	l, err := link.Dial(ctx, r.Credentials.PairingEndpoint(), link.Verified(r.Credentials.Bundle(), nil, r.Now))
	if err != nil {
		return err
	}
	defer l.Close()
	csr, err := identity.NewRequest(current.Key, current.ID)
	if err != nil {
		return err
	}
	proof, err := identity.SignProof(current.Key, r.Rand, identity.Proof{
		Method: identity.ProofRecover, Exporter: l.Exporter,
		CertificateSHA256: identity.FingerprintCertificate(current.Leaf()), CSR: csr,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	answer, err := gatewayv1.NewPairingServiceClient(l.Conn).RecoverCertificate(ctx,
		&gatewayv1.RecoverCertificateRequest{Chain: current.TLS().Certificate, Csr: csr, Proof: proof})
	if err != nil {
		return err
	}
	if err := r.Credentials.adopt(current.Key, current.KeyMade, answer.GetChain()); err != nil {
		return fmt.Errorf("recover certificate: %w", err)
	}
	bundle, err := identity.ParseBundle(answer.GetTrustBundle())
	if err != nil {
		return fmt.Errorf("recover certificate: %w", err)
	}
	r.Log.Info("certificate recovered", "notAfter", r.Credentials.Identity().Leaf().NotAfter)
	return r.Credentials.replaceBundle(bundle)
}
