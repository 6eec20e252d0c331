package certificates

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// rotateTimeout bounds the wait of a call for the controller and its issuer.
const rotateTimeout = 25 * time.Second

// Rotate serves RotateDeviceCertificate. It renews the certificate of the caller's own key or, with
// a proof of the pinned key, obtains a certificate for a new key.
func (r *Requester) Rotate(ctx context.Context, caller peer.Identity, request *gatewayv1.RotateDeviceCertificateRequest) (*gatewayv1.RotateDeviceCertificateResponse, error) {
	node, err := r.getNode(ctx, caller.ID)
	if err != nil {
		return nil, err
	}
	certificateRequest, err := r.newRequest(caller, node, request)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, rotateTimeout)
	defer cancel()
	chain, err := r.Obtain(ctx, certificateRequest)
	if err != nil {
		return nil, PublicError(err)
	}
	return &gatewayv1.RotateDeviceCertificateResponse{Chain: chain, TrustBundle: r.options.Bundle().PEM()}, nil
}

func (r *Requester) getNode(ctx context.Context, id identity.ID) (*v1alpha1.Node, error) {
	var node v1alpha1.Node
	key := types.NamespacedName{Namespace: id.Namespace, Name: id.Node}
	if err := r.options.Client.Get(ctx, key, &node); err != nil {
		return nil, fmt.Errorf("read Node %s: %w", key, err)
	}
	return &node, nil
}

// newRequest checks the CSR and distinguishes a renewal from a rotation.
func (r *Requester) newRequest(caller peer.Identity, node *v1alpha1.Node, request *gatewayv1.RotateDeviceCertificateRequest) (Request, error) {
	certificateRequest := Request{Node: node, CSR: request.GetCsr(), Purpose: v1alpha1.CertificateRenewal}
	pin := caller.PublicKeySHA256
	if len(request.GetProof()) > 0 {
		proof := identity.Proof{Method: identity.ProofRotate, Exporter: caller.Exporter, CSR: request.GetCsr()}
		if caller.PublicKeySHA256 != node.Spec.PublicKeySHA256 {
			return Request{}, denial.New(codes.FailedPrecondition, gatewayv1.ReasonKeyNotCurrent, "a new key must be signed for by the pinned one; this connection uses the next key, wait until it is the pin")
		}
		if err := identity.VerifyProof(caller.Certificate.PublicKey, proof, request.GetProof()); err != nil {
			return Request{}, denial.New(codes.Unauthenticated, gatewayv1.ReasonProofInvalid, "the proof is not a signature of the pinned key over this request and connection")
		}
		csr, err := x509.ParseCertificateRequest(request.GetCsr())
		if err != nil {
			return Request{}, denial.New(codes.InvalidArgument, gatewayv1.ReasonInvalidCSR, "csr is not a PKCS#10 request in DER")
		}
		pin = identity.FingerprintSPKIDER(csr.RawSubjectPublicKeyInfo)
		if pin != caller.PublicKeySHA256 {
			certificateRequest.Purpose = v1alpha1.CertificateRotation
		}
		certificateRequest.Proof = &v1alpha1.CertificateProof{Exporter: caller.Exporter, Signature: request.GetProof()}
	}
	if err := identity.ValidateCSR(request.GetCsr(), caller.ID, pin); err != nil {
		return Request{}, PublicCSRError(err)
	}
	return certificateRequest, nil
}

// PublicCSRError returns the error that a machine may read about its own refused CSR.
func PublicCSRError(err error) error {
	var refused *identity.CSRError
	if errors.As(err, &refused) {
		return denial.Newf(codes.InvalidArgument, gatewayv1.ReasonInvalidCSR, "csr: %s: %s", refused.Reason, refused.Detail)
	}
	return err
}

// PublicError returns the error that a machine may read for an error of Obtain.
func PublicError(err error) error {
	var refused *RefusedError
	switch {
	case errors.Is(err, ErrPending):
		return denial.New(codes.Unavailable, gatewayv1.ReasonCertificatePending, "the issuer has not answered yet; ask again with a fresh request")
	case errors.Is(err, ErrNodeGone):
		return denial.New(codes.PermissionDenied, gatewayv1.ReasonNodeDeleted, "the Node of this machine does not exist any more")
	case errors.As(err, &refused):
		return denial.New(codes.FailedPrecondition, gatewayv1.ReasonCertificateRefused, refused.Message)
	default:
		return err
	}
}
