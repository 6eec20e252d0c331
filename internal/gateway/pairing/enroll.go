package pairing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

const (
	// requestLifetime is how long a request waits for a decision.
	requestLifetime = time.Hour
	// fullRetry is the delay before the next attempt while too many requests wait for people.
	// automaticRetry is the delay when the controller itself decides.
	fullRetry      = time.Minute
	automaticRetry = 5 * time.Second
)

// enroll binds the code to the key and creates the PairingRequest. It returns the try of this
// exchange in any case, because the confirmation was right.
func (s *Service) enroll(ctx context.Context, lookupID string, stored record, claims machineClaims, transcript string) (*v1alpha1.PairingRequest, error) {
	code, err := s.getPairingCode(ctx, stored)
	if err == nil && stored.consumedBy == "" {
		err = s.checkCapacity(ctx, stored.namespace, code, &claims)
	}
	if err != nil {
		if returnErr := s.records.returnTry(ctx, lookupID); returnErr != nil && !errors.Is(returnErr, errRecordNotFound) {
			s.options.Log.Error(returnErr, "cannot return the try of a right confirmation", "code", stored.codeName)
		}
		return nil, err
	}
	name, err := s.records.consume(ctx, lookupID, claims.publicKeySHA256, requestName(claims.nodeName, claims.publicKeySHA256, lookupID))
	if err != nil {
		return nil, err
	}
	// A retry with another node name still gets the first request.
	claims.nodeName = strings.TrimSuffix(name, requestSuffix(claims.publicKeySHA256, lookupID))
	return s.createRequest(ctx, name, stored, code, claims, transcript)
}

// getPairingCode returns the PairingCode of a record. It does not return a later code of the same
// name.
func (s *Service) getPairingCode(ctx context.Context, stored record) (*v1alpha1.PairingCode, error) {
	var code v1alpha1.PairingCode
	key := types.NamespacedName{Namespace: stored.namespace, Name: stored.codeName}
	err := s.options.Live.Get(ctx, key, &code)
	if apierrors.IsNotFound(err) || (err == nil && code.UID != stored.codeUID) {
		return nil, errRecordNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read PairingCode %s: %w", key, err)
	}
	return &code, nil
}

// checkCapacity sets the node name and checks whether a first request may be created at all.
func (s *Service) checkCapacity(ctx context.Context, namespace string, code *v1alpha1.PairingCode, claims *machineClaims) error {
	if code.Spec.NodeName != "" {
		claims.nodeName = code.Spec.NodeName
	}
	if err := s.checkName(ctx, namespace, code, *claims); err != nil {
		return err
	}
	all, own, err := s.countUndecided(ctx, namespace)
	if err != nil {
		return err
	}
	reached := checkPendingLimit(s.options.MaxPending, all, own)
	if reached == nil {
		return nil
	}
	s.refused.WithLabelValues(reached.reason).Inc()
	wait := fullRetry
	if code.Spec.AutoApprove {
		wait = automaticRetry
	}
	return denial.RateLimited(wait, reached.text)
}

// checkName rejects a name that belongs to another key, early and with a reason. The controller
// decides about the name again.
func (s *Service) checkName(ctx context.Context, namespace string, code *v1alpha1.PairingCode, claims machineClaims) error {
	var node v1alpha1.Node
	key := types.NamespacedName{Namespace: namespace, Name: claims.nodeName}
	err := s.options.Client.Get(ctx, key, &node)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read Node %s: %w", key, err)
	case node.Spec.DesiredState == v1alpha1.NodeRevoked:
		return denial.Newf(codes.AlreadyExists, gatewayv1.ReasonNameTaken, "%s: node %q is revoked for good; choose another name, or ask for the old Node to be deleted",
			v1alpha1.ReasonNameTaken, claims.nodeName)
	case node.Spec.PublicKeySHA256 == claims.publicKeySHA256, code.Spec.ReplaceNode:
		return nil
	default:
		return denial.Newf(codes.AlreadyExists, gatewayv1.ReasonNameTaken, "%s: node %q belongs to another key; choose another name, or ask for a code with replaceNode",
			v1alpha1.ReasonNameTaken, claims.nodeName)
	}
}

// countUndecided counts the undecided requests of the cluster and of one fleet.
func (s *Service) countUndecided(ctx context.Context, namespace string) (all, own int, err error) {
	var list v1alpha1.PairingRequestList
	if err := s.options.Client.List(ctx, &list); err != nil {
		return 0, 0, fmt.Errorf("count pairing requests: %w", err)
	}
	for i := range list.Items {
		if phase := list.Items[i].Status.Phase; phase != "" && phase != v1alpha1.PairingRequestPending {
			continue
		}
		all++
		if list.Items[i].Namespace == namespace {
			own++
		}
	}
	return all, own, nil
}

// createRequest creates the request, or returns the request of an earlier attempt.
func (s *Service) createRequest(ctx context.Context, name string, stored record, code *v1alpha1.PairingCode, claims machineClaims, transcript string) (*v1alpha1.PairingRequest, error) {
	expires := s.options.Clock.Now().Add(requestLifetime).UTC().Truncate(time.Second)
	request := &v1alpha1.PairingRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: stored.namespace, Name: name},
		Spec: v1alpha1.PairingRequestSpec{
			NodeName:              claims.nodeName,
			PublicKey:             claims.publicKeyPEM,
			PublicKeySHA256:       claims.publicKeySHA256,
			Method:                stored.method,
			CodeName:              code.Name,
			CodeIssuedBy:          code.Spec.IssuedBy,
			TranscriptSHA256:      transcript,
			VerificationCode:      spake.VerificationCode(claims.publicKeySHA256),
			System:                claims.system,
			RequestedCapabilities: claims.capabilities,
			ExpiresTime:           metav1.NewTime(expires),
		},
	}
	return s.submitRequest(ctx, request)
}

// submitRequest creates the request, or returns the existing one.
func (s *Service) submitRequest(ctx context.Context, request *v1alpha1.PairingRequest) (*v1alpha1.PairingRequest, error) {
	err := s.options.Client.Create(ctx, request)
	if apierrors.IsAlreadyExists(err) {
		return s.getExisting(ctx, request)
	}
	if notAccepted(err) {
		s.options.Log.Error(err, "cannot create the pairing request", "namespace", request.Namespace, "request", request.Name)
		refused := denial.New(codes.Unavailable, gatewayv1.ReasonPairingRequestNotStored, "the cluster does not accept the pairing request now; ask its operator and try again")
		return nil, denial.WithRetry(status.Convert(refused), storeRetry).Err()
	}
	if err != nil {
		return nil, fmt.Errorf("create PairingRequest %s/%s: %w", request.Namespace, request.Name, err)
	}
	s.options.Log.Info("pairing requested", "namespace", request.Namespace, "request", request.Name, "method", request.Spec.Method, "code", request.Spec.CodeName)
	return request, nil
}

// notAccepted reports whether the API server refused to create a request that the machine cannot
// repair: the namespace is gone, its quota is used up, or a webhook or an admission policy rejects
// the request. A webhook without a code answers 400, a policy 422.
func notAccepted(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apicall.IsBodyRefusal(err)
}

func (s *Service) getExisting(ctx context.Context, wanted *v1alpha1.PairingRequest) (*v1alpha1.PairingRequest, error) {
	var found v1alpha1.PairingRequest
	key := types.NamespacedName{Namespace: wanted.Namespace, Name: wanted.Name}
	if err := s.options.Live.Get(ctx, key, &found); err != nil {
		return nil, fmt.Errorf("read PairingRequest %s: %w", key, err)
	}
	s.debug("pairing request exists", "namespace", wanted.Namespace, "request", wanted.Name, "sameKey", found.Spec.PublicKeySHA256 == wanted.Spec.PublicKeySHA256)
	if found.Spec.PublicKeySHA256 != wanted.Spec.PublicKeySHA256 {
		return nil, errRecordNotFound
	}
	return &found, nil
}
