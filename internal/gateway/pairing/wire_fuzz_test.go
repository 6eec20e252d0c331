package pairing

import (
	"context"
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// emptyCluster is a cluster without objects that refuses every write, because nothing may be written
// before a proof, whatever an unknown client sends.
type emptyCluster struct{ client.Client }

func (emptyCluster) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "anything"}, key.Name)
}

func (emptyCluster) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	return apierrors.NewUnauthorized("tried to create " + o.GetName())
}

var unknownConnection = peer.Connection{Address: netip.MustParseAddr("192.0.2.1"), Exporter: make([]byte, spake.ExporterLength)}

func fuzzService(t testing.TB) *Service {
	authority := identitytest.NewAuthority(t, "ca")
	bundle, err := identity.ParseBundle([]byte(authority.PEM()))
	if err != nil {
		t.Fatal(err)
	}
	known := func() identity.Bundle { return bundle }
	return New(Options{
		Client: emptyCluster{}, Live: emptyCluster{}, Bundle: known, Device: known, Namespace: "mooring-pairing", TrustDomain: "mooring.test",
		NodeEndpoint: "gateway.test:7444", MaxPending: 50, BeginsPerSecond: 1 << 20, Hold: time.Millisecond,
		Clock: clocktesting.NewFakePassiveClock(time.Now()), Rand: rand.Reader, Log: logr.Discard(),
	})
}

// FuzzPairingMessages sends arbitrary messages of an unknown client to each method of
// PairingService. There must be no panic, no write and no success, and the status code must be an
// expected one.
func FuzzPairingMessages(f *testing.F) {
	agent, err := spake.NewAgent(spake.PasswordScalar("K7QX2M", "482913"), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for method, m := range []proto.Message{
		&gatewayv1.BeginPairingSessionRequest{LookupId: "K7QX2M", Share: agent.Share(), NodeName: "box"},
		&gatewayv1.CompletePairingSessionRequest{Evidence: &gatewayv1.CompletePairingSessionRequest_Code{Code: &gatewayv1.CodeConfirmation{SessionId: "s", Confirmation: make([]byte, 32)}},
			PublicKey: []byte{0x30, 0x59}, NodeName: "box", RequestedCapabilities: []string{"echo", "a.*"}},
		&gatewayv1.GetPairingRequestStatusRequest{Namespace: "fleet", Name: "box-00000000-k7qx2m", Csr: []byte{0x30}, Proof: []byte{0x30, 0x06}},
		&gatewayv1.RecoverCertificateRequest{Chain: [][]byte{{0x30}, nil}, Csr: []byte{0x30}, Proof: []byte{0}},
		&gatewayv1.CompletePairingSessionRequest{Evidence: &gatewayv1.CompletePairingSessionRequest_ServiceAccount{ServiceAccount: &gatewayv1.ServiceAccountToken{Token: "t"}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(method%4), b)
		f.Add(byte(method), []byte{0xff, 0xff})
	}
	s := fuzzService(f)
	f.Fuzz(func(t *testing.T, method byte, b []byte) {
		ctx := peer.WithConnection(t.Context(), unknownConnection)
		err := callMethod(ctx, s, method%4, b)
		switch status.Code(err) {
		case codes.OK:
			if method%4 != 0 { // Begin answers every client
				t.Errorf("method %d let a stranger in", method%4)
			}
		case codes.InvalidArgument, codes.Unauthenticated, codes.NotFound, codes.PermissionDenied, codes.FailedPrecondition, codes.ResourceExhausted:
		default:
			t.Errorf("method %d is answered %v", method%4, err)
		}
	})
}

// callMethod decodes a message and calls its method. Bytes that are no message get
// errCodeNotAccepted, because the transport refuses them.
func callMethod(ctx context.Context, s *Service, method byte, b []byte) (err error) {
	decode := func(m proto.Message) bool { return proto.Unmarshal(b, m) == nil }
	err = errCodeNotAccepted
	switch method {
	case 0:
		if m := (&gatewayv1.BeginPairingSessionRequest{}); decode(m) {
			_, err = s.BeginPairingSession(ctx, m)
		}
	case 1:
		if m := (&gatewayv1.CompletePairingSessionRequest{}); decode(m) {
			if account := m.GetServiceAccount(); account != nil {
				// The token goes to the API server first. The rest of the message is read in the
				// same way.
				_, err = readMachineClaims(unknownConnection, m)
				return err
			}
			_, err = s.CompletePairingSession(ctx, m)
		}
	case 2:
		if m := (&gatewayv1.GetPairingRequestStatusRequest{}); decode(m) {
			_, err = s.GetPairingRequestStatus(ctx, m)
		}
	default:
		if m := (&gatewayv1.RecoverCertificateRequest{}); decode(m) {
			_, err = s.RecoverCertificate(ctx, m)
		}
	}
	return err
}
