package pairing

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// completePairing runs a whole exchange of a key with the right PIN.
func completePairing(t *testing.T, store *oneCode, key *ecdsa.PrivateKey) (*gatewayv1.CompletePairingSessionResponse, error) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	a := startAttempt(t, store, identity.FingerprintSPKIDER(der), "123456")
	id, ok, err := a.exchanges.add(rand.Reader, a.begun)
	if err != nil || !ok {
		t.Fatalf("the exchange is not kept: %v", err)
	}
	proof, err := identity.SignProof(key, rand.Reader, identity.Proof{Method: identity.ProofCompletePairing, Exporter: a.connection.Exporter})
	if err != nil {
		t.Fatal(err)
	}
	return a.CompletePairingSession(peer.WithConnection(t.Context(), a.connection), &gatewayv1.CompletePairingSessionRequest{
		Evidence:  &gatewayv1.CompletePairingSessionRequest_Code{Code: &gatewayv1.CodeConfirmation{SessionId: id, Confirmation: a.confirmation}},
		PublicKey: der, Proof: proof, NodeName: "box",
	})
}

// An API server that does not store the request now costs no try. The machine receives the reason,
// a pause, and the proof that its code is right. It pairs with the same code later.
func TestARequestThatIsNotStoredCostsNoTry(t *testing.T) {
	const busy, refused, failed = "the API server of the cluster is busy", "does not accept the pairing request now; ask its operator", "its log has the reason"
	kind := schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "pairingrequests"}
	denied := func(code int32) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Message: `admission webhook "deny.example.com" denied the request`}}
	}
	for name, tt := range map[string]struct {
		err  error
		text string // for the machine
	}{
		"429":                             {apierrors.NewTooManyRequests("busy", 1), busy},
		"503":                             {apierrors.NewServiceUnavailable("starting"), busy},
		"504":                             {apierrors.NewTimeoutError("etcd", 1), busy},
		"a server timeout":                {apierrors.NewServerTimeout(kind, "create", 1), busy},
		"500":                             {apierrors.NewInternalError(errors.New("etcd")), failed},
		"the call timed out":              {context.DeadlineExceeded, failed},
		"the connection is gone":          {errors.New("connection refused"), failed},
		"a quota":                         {apierrors.NewForbidden(kind, "box", errors.New("exceeded quota")), refused},
		"a webhook, with its own code":    {denied(http.StatusForbidden), refused},
		"a webhook, without a code":       {denied(http.StatusBadRequest), refused},
		"an admission policy":             {apierrors.NewInvalid(schema.GroupKind{Kind: "PairingRequest"}, "box", nil), refused},
		"a namespace that is terminating": {apierrors.NewNotFound(kind, "fleet"), refused},
	} {
		t.Run(name, func(t *testing.T) {
			key, store := identitytest.NewKey(t), newOneCode()
			store.createErr = tt.err
			for range v1alpha1.MaxPairingTries + 1 {
				_, err := completePairing(t, store, key)
				checkNotStored(t, err, tt.text)
				if store.tries() != "0" {
					t.Fatalf("%s tries used", store.tries())
				}
			}
			store.createErr = nil
			if response, err := completePairing(t, store, key); err != nil || store.tries() != "0" || len(slices.Compact(store.created)) != 1 {
				t.Errorf("later: %v, %v, %s tries used, requests %v", response, err, store.tries(), store.created)
			}
		})
	}
}

// checkNotStored checks the refusal of a verified code whose request is not stored.
func checkNotStored(t *testing.T, err error, text string) {
	t.Helper()
	refused := status.Convert(err)
	if refused.Code() != codes.Unavailable || !strings.Contains(refused.Message(), text) {
		t.Errorf("the refusal is %v, want Unavailable with %q", err, text)
	}
	var verified, pause bool
	for _, detail := range refused.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			confirmation, err := hex.DecodeString(detail.GetMetadata()[gatewayv1.MetadataConfirmation])
			verified = detail.GetReason() == gatewayv1.ReasonCodeVerified && err == nil && len(confirmation) > 0
		case *errdetails.RetryInfo:
			pause = detail.GetRetryDelay().AsDuration() == storeRetry
		}
	}
	if !verified || !pause {
		t.Errorf("proof of the right code: %t, pause: %t in %v", verified, pause, refused.Details())
	}
}
