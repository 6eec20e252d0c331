package session

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

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
		return r.clockProblem(err)
	}
	if err := r.checkFresh(answer.GetChain()); err != nil {
		return err
	}
	if err := r.Credentials.adopt(current.Key, current.KeyMade, answer.GetChain()); err != nil {
		return fmt.Errorf("recover certificate: %w", err)
	}
	r.Log.Info("certificate recovered", "notAfter", r.Credentials.Identity().Leaf().NotAfter)
	return r.takeBundle(l, answer.GetTrustBundle())
}

// clockAheadError: the clock of this machine is ahead by more than certificates allow for: to
// it every certificate has expired on arrival, so it stays out until the clock is right.
type clockAheadError struct{ ahead time.Duration }

func (e *clockAheadError) Error() string {
	return fmt.Sprintf("the clock of this machine is %s ahead of the gateway's: set it, and keep it right by NTP", ahead(e.ahead))
}

// ahead is a duration for people: hours of a clock that is hours off, so that the sentence stays the same.
func ahead(d time.Duration) string {
	if d >= 2*time.Hour {
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f minutes", d.Minutes())
}

// clockProblem turns the refusal of a certificate that has not expired into a clockAheadError.
func (r *Runner) clockProblem(refused error) error {
	for _, detail := range status.Convert(refused).Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetReason() != gatewayv1.ReasonCertificateNotExpired {
			continue
		}
		if now, err := time.Parse(time.RFC3339, info.GetMetadata()[gatewayv1.MetadataGatewayTime]); err == nil {
			return &clockAheadError{r.Now().Sub(now)}
		}
	}
	return refused
}

// checkFresh refuses a certificate that has expired by the clock of this machine although it was just
// issued: an older gateway issues one at every call.
func (r *Runner) checkFresh(chain [][]byte) error {
	certificates, err := identity.ParseChain(chain)
	if err != nil {
		return fmt.Errorf("recover certificate: %w", err)
	}
	if leaf := certificates[0]; r.Now().After(leaf.NotAfter) {
		return &clockAheadError{r.Now().Sub(leaf.NotBefore)}
	}
	return nil
}

// takeBundle stores the CA bundle that came with a certificate. One that cannot be used or does
// not admit the gateway that sent it is left: the old one, which admitted it, still does.
func (r *Runner) takeBundle(l *link.Link, text []byte) error {
	bundle, err := identity.ParseBundle(text)
	if err == nil {
		err = l.CheckBundle(bundle, r.Now())
	}
	if err != nil {
		r.Log.Error("CA bundle refused; the old one stays", "error", err)
		return nil
	}
	return r.Credentials.replaceBundle(bundle)
}
