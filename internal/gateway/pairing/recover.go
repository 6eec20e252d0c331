package pairing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/certificates"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// RecoverCertificate serves a machine that was offline when its certificate expired. The lapsed
// chain names the machine, and the signature proves that it still has the key. The controller also
// requires that the fingerprint is in the Node's history.
func (s *Service) RecoverCertificate(ctx context.Context, request *gatewayv1.RecoverCertificateRequest) (*gatewayv1.RecoverCertificateResponse, error) {
	connection, ok := peer.ConnectionFromContext(ctx)
	if !ok {
		return nil, denial.New(codes.Unauthenticated, gatewayv1.ReasonTLSRequired, "TLS is required")
	}
	lapsed, err := s.verifyLapsedChain(request)
	if err != nil {
		return nil, err
	}
	proof := identity.Proof{
		Method:            identity.ProofRecover,
		Exporter:          connection.Exporter,
		CertificateSHA256: identity.FingerprintCertificate(lapsed.Certificate),
		CSR:               request.GetCsr(),
	}
	if err := identity.VerifyProof(lapsed.Certificate.PublicKey, proof, request.GetProof()); err != nil {
		return nil, errBadProof
	}
	if err := identity.ValidateCSR(request.GetCsr(), lapsed.ID, lapsed.PublicKeySHA256); err != nil {
		return nil, certificates.PublicCSRError(err)
	}
	node, err := s.getRecoverableNode(ctx, lapsed)
	if err != nil {
		s.debug("certificate recovery refused", "namespace", lapsed.ID.Namespace, "node", lapsed.ID.Node, "reason", err.Error())
		return nil, err
	}
	if err := s.checkExpired(lapsed); err != nil {
		return nil, err
	}
	connection.MarkProven()
	waitCtx, cancel := context.WithTimeout(ctx, s.options.Hold)
	defer cancel()
	chain, err := s.options.Certificates.Obtain(waitCtx, certificates.Request{
		Node: node, CSR: request.GetCsr(), Purpose: v1alpha1.CertificateRecovery,
		Proof: &v1alpha1.CertificateProof{
			Exporter:                     connection.Exporter,
			CertificateFingerprintSHA256: proof.CertificateSHA256,
			Signature:                    request.GetProof(),
		},
	})
	if err != nil {
		return nil, certificates.PublicError(err)
	}
	s.options.Log.Info("certificate recovered", "namespace", node.Namespace, "node", node.Name)
	return &gatewayv1.RecoverCertificateResponse{Chain: chain, TrustBundle: s.options.Bundle().PEM()}, nil
}

// verifyLapsedChain verifies the chain for the time of its expiry.
func (s *Service) verifyLapsedChain(request *gatewayv1.RecoverCertificateRequest) (identity.Peer, error) {
	chain, err := identity.ParseChain(request.GetChain())
	if err != nil {
		return identity.Peer{}, invalidArgument("chain: %v", err)
	}
	lapsed, err := identity.VerifyExpiredPeer(chain, s.options.Device().Pool(), s.options.TrustDomain, s.options.Clock.Now())
	var refused *identity.CertificateError
	switch {
	case err == nil:
		return lapsed, nil
	case errors.As(err, &refused) && refused.Reason == identity.ReasonRecoveryTooLate:
		return identity.Peer{}, errRecoveryDenied
	default:
		return identity.Peer{}, denial.New(codes.Unauthenticated, gatewayv1.ReasonChainInvalid, "the chain is not of a device of this installation")
	}
}

// checkExpired rejects a certificate that stays valid for longer than clocks may differ. A machine
// that takes it for expired has a clock that is ahead, and would take the next one for expired too.
func (s *Service) checkExpired(lapsed identity.Peer) error {
	now, end := s.options.Clock.Now(), lapsed.Certificate.NotAfter
	if end.Sub(now) <= identity.NotBeforeLeeway {
		return nil
	}
	s.options.Log.Info("a machine recovers a certificate that has not expired: its clock is ahead",
		"namespace", lapsed.ID.Namespace, "node", lapsed.ID.Node, "notAfter", end, "validFor", end.Sub(now).Round(time.Second).String())
	refused := denial.Newf(codes.FailedPrecondition, gatewayv1.ReasonCertificateNotExpired, "the certificate is valid until %s and it is %s now: the clock of the machine is ahead",
		end.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	return denial.WithReason(status.Convert(refused), gatewayv1.ReasonCertificateNotExpired,
		map[string]string{gatewayv1.MetadataGatewayTime: now.UTC().Format(time.RFC3339)}).Err()
}

// getRecoverableNode returns the Node if it is live and not revoked, and the key of the lapsed
// certificate is its pin or its next key. A machine may have been offline between storing the next
// key and using it first. Only the pinned key can have signed for the next key.
func (s *Service) getRecoverableNode(ctx context.Context, lapsed identity.Peer) (*v1alpha1.Node, error) {
	var node v1alpha1.Node
	key := types.NamespacedName{Namespace: lapsed.ID.Namespace, Name: lapsed.ID.Node}
	err := s.options.Client.Get(ctx, key, &node)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read Node %s: %w", key, err)
	}
	if err != nil || !node.DeletionTimestamp.IsZero() || node.Spec.DesiredState == v1alpha1.NodeRevoked {
		return nil, errRecoveryDenied
	}
	if key := lapsed.PublicKeySHA256; key != node.Spec.PublicKeySHA256 && key != node.Spec.NextPublicKeySHA256 {
		return nil, errRecoveryDenied
	}
	return &node, nil
}
