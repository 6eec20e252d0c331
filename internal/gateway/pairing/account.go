package pairing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	spake "github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/internal/serviceaccount"
)

// completeWithToken enrolls an agent that runs in a pod. The agent has verified the gateway by the
// CA that is mounted there. The gateway has the token reviewed and stores it for the controller,
// which decides.
func (s *Service) completeWithToken(ctx context.Context, connection peer.Connection, request *gatewayv1.CompletePairingSessionRequest) (*gatewayv1.CompletePairingSessionResponse, error) {
	if !s.tokenLimiter.allow(connection.Source()) {
		return nil, denial.RateLimited(time.Second, "too many machines try to pair at the same time; try again")
	}
	claims, err := readMachineClaims(connection, request)
	if err != nil {
		return nil, err
	}
	token := request.GetServiceAccount().GetToken()
	holder, rule, err := s.authenticateToken(ctx, token)
	if err != nil {
		return nil, err
	}
	connection.MarkProven()
	if claims.nodeName, err = rule.NodeName(holder.Node); err != nil {
		return nil, publicAccountError(err)
	}
	pairingRequest, err := s.enrollAccount(ctx, newAccountRequest(rule.Fleet, token, holder, claims, s.options.Clock.Now()), token, claims)
	if errors.Is(err, errRecordNotFound) {
		return nil, denial.New(codes.AlreadyExists, gatewayv1.ReasonPairingRequestTaken, "another key has a pairing request of this name; try again with a fresh token")
	}
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CompletePairingSessionResponse{
		Namespace: pairingRequest.Namespace, Name: pairingRequest.Name, NodeEndpoint: s.options.NodeEndpoint,
		TrustBundle: s.options.Bundle().PEM(), ExpiresTime: timestamppb.New(pairingRequest.Spec.ExpiresTime.Time),
	}, nil
}

// authenticateToken returns the holder of a token and the rule that admits its account. The
// controller checks both again.
func (s *Service) authenticateToken(ctx context.Context, token string) (serviceaccount.Holder, serviceaccount.Rule, error) {
	holder, err := serviceaccount.Review(ctx, s.options.Client, token, s.options.Audience)
	if err != nil {
		return holder, serviceaccount.Rule{}, publicAccountError(err)
	}
	rule, err := serviceaccount.RuleFor(ctx, s.options.Live, s.options.SystemNamespace, holder)
	if err != nil {
		s.options.Log.Info("in-cluster agent refused", "serviceAccount", holder.String(), "coreNode", holder.Node, "reason", err.Error())
		return holder, rule, publicAccountError(err)
	}
	return holder, rule, nil
}

// publicAccountError returns the reason of a refusal as a status that the agent reads. Other errors
// stay internal.
func publicAccountError(err error) error {
	if refused := (*serviceaccount.RefusedError)(nil); errors.As(err, &refused) {
		return denial.New(codes.PermissionDenied, gatewayv1.ReasonAccountRefused, refused.Text)
	}
	return err
}

// newAccountRequest returns the PairingRequest of an in-cluster agent. Its name depends on node, key
// and token: a retry gives the same request, and a fresh token gives a new request after a failed
// one.
func newAccountRequest(fleet, token string, holder serviceaccount.Holder, claims machineClaims, now time.Time) *v1alpha1.PairingRequest {
	sum := sha256.Sum256([]byte(token))
	return &v1alpha1.PairingRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: fleet, Name: requestName(claims.nodeName, claims.publicKeySHA256, hex.EncodeToString(sum[:4]))},
		Spec: v1alpha1.PairingRequestSpec{
			NodeName:              claims.nodeName,
			PublicKey:             claims.publicKeyPEM,
			PublicKeySHA256:       claims.publicKeySHA256,
			Method:                v1alpha1.PairingMethodServiceAccount,
			ServiceAccount:        &v1alpha1.ServiceAccountIdentity{Namespace: holder.Namespace, Name: holder.Name, Node: holder.Node, NodeUID: holder.NodeUID},
			VerificationCode:      spake.VerificationCode(claims.publicKeySHA256),
			System:                claims.system,
			RequestedCapabilities: claims.capabilities,
			ExpiresTime:           metav1.NewTime(now.Add(requestLifetime).UTC().Truncate(time.Second)),
		},
	}
}

// ruleCode represents a rule for ServiceAccounts as a code: the controller decides about its
// requests.
var ruleCode = &v1alpha1.PairingCode{Spec: v1alpha1.PairingCodeSpec{AutoApprove: true}}

// enrollAccount creates the token Secret first and the request second. The controller needs both,
// and deletes a token whose request was never created.
func (s *Service) enrollAccount(ctx context.Context, request *v1alpha1.PairingRequest, token string, claims machineClaims) (*v1alpha1.PairingRequest, error) {
	if found, err := s.getExisting(ctx, request); !apierrors.IsNotFound(err) {
		return found, err
	}
	if err := s.checkCapacity(ctx, request.Namespace, ruleCode, &claims); err != nil {
		if status.Code(err) == codes.AlreadyExists {
			return nil, denial.Newf(codes.AlreadyExists, gatewayv1.ReasonNameTaken, "%s: node %q of fleet %q belongs to another key or is revoked; delete it there, and keep the agent's identity directory over restarts",
				v1alpha1.ReasonNameTaken, claims.nodeName, request.Namespace)
		}
		return nil, err
	}
	tokenSecret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.options.Namespace, Name: v1alpha1.TokenSecretName(request.Namespace, request.Name),
			Labels: map[string]string{v1alpha1.LabelNamespace: request.Namespace, v1alpha1.LabelNode: claims.nodeName},
		},
		Type: v1alpha1.SecretTypeServiceAccountToken,
		Data: map[string][]byte{v1alpha1.TokenKey: []byte(token)},
	}
	if err := s.options.Client.Create(ctx, tokenSecret); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("store the token for the controller: %w", err)
	}
	return s.submitRequest(ctx, request)
}
