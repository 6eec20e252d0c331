package renew

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// Recover replaces a lapsed certificate at the pairing listener. The lapsed chain names
// the machine, and a signature of its key proves it. The error is a *ClockAheadError when the clock of the
// machine is too far ahead.
func (r *Renewer) Recover(ctx context.Context) error {
	current := r.Credentials.Identity()
	r.Log.DebugContext(ctx, "recovering the certificate", "notAfter", current.Leaf().NotAfter)
	l, err := r.Dialer.Dial(ctx, r.Credentials.PairingEndpoint(), link.TLSConfig(r.Credentials.Bundle(), nil, r.Now))
	if err != nil {
		return err
	}
	defer l.Close()
	csr, err := identity.NewCSR(current.Key, current.ID)
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
		&gatewayv1.RecoverCertificateRequest{Chain: current.TLSCertificate().Certificate, Csr: csr, Proof: proof})
	if err != nil {
		return r.asClockAhead(err)
	}
	if err := r.checkFresh(answer.GetChain()); err != nil {
		return err
	}
	if err := r.Credentials.ReplaceCertificate(current.Key, current.KeyMade, answer.GetChain()); err != nil {
		return fmt.Errorf("recover certificate: %w", err)
	}
	r.Log.Info("certificate recovered", "notAfter", r.Credentials.Identity().Leaf().NotAfter)
	return r.storeRecoveredBundle(l, answer.GetTrustBundle())
}

// ClockAheadError means that this machine's clock is ahead by more than certificates allow. Every
// new certificate has already expired by that clock, so the machine has no session until it is
// right.
type ClockAheadError struct{ Ahead time.Duration }

func (e *ClockAheadError) Error() string {
	return fmt.Sprintf("the clock of this machine is %s ahead of the gateway's: set it, and keep it right by NTP", formatAhead(e.Ahead))
}

// formatAhead formats a duration for people. It rounds to hours for a clock that is hours off, so
// that the sentence stays the same.
func formatAhead(d time.Duration) string {
	if d >= 2*time.Hour {
		return fmt.Sprintf("%.0f hours", d.Hours())
	}
	return fmt.Sprintf("%.0f minutes", d.Minutes())
}

// asClockAhead turns the refusal of a certificate that has not expired into a ClockAheadError.
func (r *Renewer) asClockAhead(refused error) error {
	for _, detail := range status.Convert(refused).Details() {
		info, ok := detail.(*errdetails.ErrorInfo)
		if !ok || info.GetReason() != gatewayv1.ReasonCertificateNotExpired {
			continue
		}
		if now, err := time.Parse(time.RFC3339, info.GetMetadata()[gatewayv1.MetadataGatewayTime]); err == nil {
			return &ClockAheadError{r.Now().Sub(now)}
		}
	}
	return refused
}

// checkFresh rejects a certificate that was just issued and has expired by this machine's clock. An
// older gateway issues a certificate at every call.
func (r *Renewer) checkFresh(chain [][]byte) error {
	certificates, err := identity.ParseChain(chain)
	if err != nil {
		return fmt.Errorf("recover certificate: %w", err)
	}
	if leaf := certificates[0]; r.Now().After(leaf.NotAfter) {
		return &ClockAheadError{r.Now().Sub(leaf.NotBefore)}
	}
	return nil
}

// storeRecoveredBundle stores the CA bundle that came with a certificate. It ignores a bundle that
// is unusable or does not trust the gateway that sent it, because the old bundle still trusts that
// gateway.
func (r *Renewer) storeRecoveredBundle(l *link.Link, text []byte) error {
	bundle, err := identity.ParseBundle(text)
	if err == nil {
		err = l.CheckBundle(bundle, r.Now())
	}
	if err != nil {
		r.Log.Error("CA bundle refused; the old one stays", "error", err)
		return nil
	}
	return r.Credentials.ReplaceBundle(bundle)
}
