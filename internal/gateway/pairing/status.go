package pairing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/certificates"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	// lookupsPerSecond and lookupBurst bound the reads without the cache that polls from all
	// addresses together cause.
	lookupsPerSecond = 50
	lookupBurst      = 100
	// lookupTimeout bounds one such read, also for a caller whose deadline has passed.
	lookupTimeout = 5 * time.Second
)

// poll is one call of GetPairingRequestStatus.
type poll struct {
	key   types.NamespacedName
	csr   []byte
	proof *v1alpha1.CertificateProof
}

// GetPairingRequestStatus answers as soon as the request has a decision, has ended, or has its
// certificate.
func (s *Service) GetPairingRequestStatus(ctx context.Context, request *gatewayv1.GetPairingRequestStatusRequest) (*gatewayv1.GetPairingRequestStatusResponse, error) {
	connection, ok := peer.ConnectionFromContext(ctx)
	if !ok {
		return nil, denial.New(codes.Unauthenticated, gatewayv1.ReasonTLSRequired, "TLS is required")
	}
	asked := poll{
		key:   types.NamespacedName{Namespace: request.GetNamespace(), Name: request.GetName()},
		csr:   request.GetCsr(),
		proof: &v1alpha1.CertificateProof{Exporter: connection.Exporter, Signature: request.GetProof()},
	}
	found, err := s.getPairingRequest(ctx, asked.key)
	if err != nil {
		return nil, err
	}
	if err := checkPoll(found, asked); err != nil {
		s.debug("pairing poll without proof refused", "namespace", found.Namespace, "request", found.Name, "address", connection.Address)
		return nil, err
	}
	connection.MarkProven()
	waitCtx, cancel := context.WithTimeout(ctx, s.options.Hold)
	defer cancel()
	return s.awaitResponse(waitCtx, asked)
}

// getPairingRequest reads the cache, and the apiserver when the cache does not have the request
// yet. Any client can invent names, and no proof can be checked before the read: hence a bound over
// all addresses.
func (s *Service) getPairingRequest(ctx context.Context, key types.NamespacedName) (*v1alpha1.PairingRequest, error) {
	if !identity.IsLabel(key.Namespace) || len(validation.IsDNS1123Subdomain(key.Name)) > 0 {
		return nil, errRequestNotFound
	}
	var found v1alpha1.PairingRequest
	err := s.options.Client.Get(ctx, key, &found)
	if apierrors.IsNotFound(err) {
		if !s.lookupLimiter.AllowN(s.options.Clock.Now(), 1) {
			return nil, denial.RateLimited(time.Second, "too many machines ask for pairing requests at the same time; try again")
		}
		live, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		err = s.options.Live.Get(live, key, &found)
	}
	if apierrors.IsNotFound(err) {
		return nil, errRequestNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read PairingRequest %s: %w", key, err)
	}
	return &found, nil
}

// checkPoll verifies that the caller has the key of the request. Any other caller gets the answer
// for a missing request, so that it cannot find out which requests exist.
func checkPoll(found *v1alpha1.PairingRequest, asked poll) error {
	key, err := identity.ParsePublicKeyPEM([]byte(found.Spec.PublicKey))
	if err != nil {
		return errRequestNotFound
	}
	if pin, err := identity.FingerprintSPKI(key); err != nil || pin != found.Spec.PublicKeySHA256 {
		return errRequestNotFound
	}
	proof := identity.Proof{
		Method:   identity.ProofPairingStatus,
		Request:  asked.key.String(),
		Exporter: asked.proof.Exporter,
		CSR:      asked.csr,
	}
	if err := identity.VerifyProof(key, proof, asked.proof.Signature); err != nil {
		return errRequestNotFound
	}
	return nil
}

// awaitResponse waits for a change until ctx ends. It requests a certificate once per call, because a
// refused request would be refused again a moment later.
func (s *Service) awaitResponse(ctx context.Context, asked poll) (*gatewayv1.GetPairingRequestStatusResponse, error) {
	events, cancel := s.options.Requests.Subscribe(asked.key)
	defer cancel()
	var refused *certificates.RefusedError
	for requested := false; ; {
		found, err := s.getPairingRequest(context.WithoutCancel(ctx), asked.key)
		if err != nil {
			return nil, err
		}
		if answer := finalResponse(found); answer != nil {
			s.debug("pairing decision sent", "namespace", found.Namespace, "request", found.Name, "phase", found.Status.Phase)
			return answer, nil
		}
		if ctx.Err() != nil {
			s.debug("pairing waits for a decision", "namespace", found.Namespace, "request", found.Name, "phase", found.Status.Phase)
			return pendingResponse(found, refused), nil
		}
		if isApproved(found) && !requested {
			requested = true
			answer, err := s.approvedResponse(ctx, found, asked)
			if err != nil && !errors.As(err, &refused) && !isRetryable(err) {
				return nil, err
			}
			if answer != nil {
				return answer, nil
			}
			continue // the request may have changed by now
		}
		select {
		case <-events:
		case <-ctx.Done():
		}
	}
}

// isRetryable reports whether an error means that the answer did not come in the time of this call.
func isRetryable(err error) bool {
	return errors.Is(err, certificates.ErrPending) || errors.Is(err, certificates.ErrNodeGone) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// isApproved reports whether the request leads to a certificate. A Completed request does so again,
// for a machine that missed the answer.
func isApproved(found *v1alpha1.PairingRequest) bool {
	phase := found.Status.Phase
	return (phase == v1alpha1.PairingRequestApproved || phase == v1alpha1.PairingRequestCompleted) && found.Status.SPIFFEID != ""
}

// approvedResponse returns the identity to a machine without a CSR, and the certificate to a
// machine with one.
func (s *Service) approvedResponse(ctx context.Context, found *v1alpha1.PairingRequest, asked poll) (*gatewayv1.GetPairingRequestStatusResponse, error) {
	s.debug("pairing approved", "namespace", found.Namespace, "request", found.Name, "certificateAsked", len(asked.csr) > 0)
	if len(asked.csr) == 0 {
		return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Approved{
			Approved: &gatewayv1.PairingApproved{SpiffeId: found.Status.SPIFFEID},
		}}, nil
	}
	id, err := identity.ParseID(found.Status.SPIFFEID)
	if err != nil {
		return nil, fmt.Errorf("read identity of PairingRequest %s: %w", asked.key, err)
	}
	if err := identity.ValidateCSR(asked.csr, id, found.Spec.PublicKeySHA256); err != nil {
		return nil, certificates.PublicCSRError(err)
	}
	node, err := s.awaitNode(ctx, types.NamespacedName{Namespace: id.Namespace, Name: id.Node}, found)
	if err != nil {
		return nil, err
	}
	chain, err := s.options.Certificates.Obtain(ctx, certificates.Request{
		Node: node, CSR: asked.csr, Purpose: v1alpha1.CertificateInitial, Proof: asked.proof,
	})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Completed{
		Completed: &gatewayv1.PairingCompleted{Chain: chain, TrustBundle: s.options.Bundle().PEM()},
	}}, nil
}

// awaitNode waits until the cache holds the Node as this approval left it, because the approval may
// become visible before the Node.
func (s *Service) awaitNode(ctx context.Context, key types.NamespacedName, found *v1alpha1.PairingRequest) (*v1alpha1.Node, error) {
	events, cancel := s.options.Nodes.Subscribe(key)
	defer cancel()
	for {
		var node v1alpha1.Node
		err := s.options.Client.Get(ctx, key, &node)
		if err == nil && node.Spec.PublicKeySHA256 == found.Spec.PublicKeySHA256 {
			return &node, nil
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("read Node %s: %w", key, err)
		}
		select {
		case <-events:
		case <-ctx.Done():
			return nil, certificates.ErrPending
		}
	}
}
