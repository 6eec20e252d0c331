package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	spake "github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/test/scriptedagent"
)

// machine is the agent's side of pairing on one connection. It is honest unless a test changes its
// messages.
type machine struct {
	t        testing.TB
	key      *ecdsa.PrivateKey
	client   gatewayv1.PairingServiceClient
	exporter []byte
	nodeName string
}

// newMachine returns a machine that has only a PIN: it cannot verify the server yet.
func newMachine(t testing.TB, address string, key *ecdsa.PrivateKey) *machine {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13} //nolint:gosec // first contact
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &machine{t: t, key: key, client: gatewayv1.NewPairingServiceClient(conn), nodeName: "robot"}
}

func (i *instance) machine(t testing.TB) *machine {
	t.Helper()
	return i.machineWith(t, identitytest.NewKey(t))
}

func (i *instance) machineWith(t testing.TB, key *ecdsa.PrivateKey) *machine {
	t.Helper()
	pairing, _ := i.Addresses()
	return newMachine(t, pairing.String(), key)
}

func (m *machine) publicKey() []byte {
	der, err := x509.MarshalPKIXPublicKey(&m.key.PublicKey)
	if err != nil {
		m.t.Fatal(err)
	}
	return der
}

func (m *machine) pin() string { return identity.FingerprintSPKIDER(m.publicKey()) }

// exchange is the state of the agent between Begin and Complete.
type exchange struct {
	begun   *gatewayv1.BeginPairingSessionResponse
	keys    *spake.Keys
	request *gatewayv1.CompletePairingSessionRequest
}

// startExchange runs BeginPairingSession and prepares an honest Complete.
func (m *machine) startExchange(ctx context.Context, code spake.Code) (*exchange, error) {
	agent, err := spake.NewAgent(spake.PasswordScalar(code.LookupID, code.PIN), rand.Reader)
	if err != nil {
		return nil, err
	}
	var p grpcpeer.Peer
	begun, err := m.client.BeginPairingSession(ctx, &gatewayv1.BeginPairingSessionRequest{
		LookupId: code.LookupID, Share: agent.Share(), NodeName: m.nodeName,
	}, grpc.Peer(&p))
	if err != nil {
		return nil, err
	}
	if m.exporter, err = scriptedagent.Exporter(&p); err != nil {
		return nil, err
	}
	aad := spake.AAD(m.exporter, code.LookupID, m.pin(), hex.EncodeToString(begun.GetBundleSha256()))
	keys, err := agent.Finish(begun.GetShare(), aad)
	if err != nil {
		return nil, err
	}
	proof, err := identity.SignProof(m.key, rand.Reader, identity.Proof{Method: identity.ProofCompletePairing, Exporter: m.exporter})
	if err != nil {
		return nil, err
	}
	return &exchange{begun: begun, keys: keys, request: &gatewayv1.CompletePairingSessionRequest{
		Evidence: &gatewayv1.CompletePairingSessionRequest_Code{Code: &gatewayv1.CodeConfirmation{
			SessionId: begun.GetSessionId(), Confirmation: keys.Confirmation(),
		}},
		PublicKey: m.publicKey(), Proof: proof, NodeName: m.nodeName,
		System:                &gatewayv1.SystemInfo{Os: "linux", Arch: "amd64", Platform: "debian", Hostname: "robot"},
		RequestedCapabilities: []string{"echo", "system.health"},
	}}, nil
}

// pair runs the whole exchange and makes the agent's checks.
func (m *machine) pair(ctx context.Context, code spake.Code) (*gatewayv1.CompletePairingSessionResponse, error) {
	e, err := m.startExchange(ctx, code)
	if err != nil {
		return nil, err
	}
	answer, err := m.client.CompletePairingSession(ctx, e.request)
	if err != nil {
		return nil, err
	}
	return answer, e.verify(answer)
}

func (e *exchange) verify(answer *gatewayv1.CompletePairingSessionResponse) error {
	if err := e.keys.VerifyPeer(answer.GetConfirmation()); err != nil {
		return err
	}
	signedAnswer := spake.Answer{
		TrustBundle: answer.GetTrustBundle(), Namespace: answer.GetNamespace(),
		Name: answer.GetName(), NodeEndpoint: answer.GetNodeEndpoint(),
	}
	if err := e.keys.VerifyAnswer(answer.GetMac(), signedAnswer); err != nil {
		return err
	}
	bundle, err := identity.ParseBundle(answer.GetTrustBundle())
	if err != nil {
		return err
	}
	if bundle.SHA256() != hex.EncodeToString(e.begun.GetBundleSha256()) {
		return errors.New("the bundle differs from the confirmed one")
	}
	return nil
}

// poll requests the status of a request, with a CSR unless csr is nil.
func (m *machine) poll(ctx context.Context, namespace, name string, csr []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
	if m.exporter == nil {
		m.connect(ctx)
	}
	proof, err := identity.SignProof(m.key, rand.Reader, identity.Proof{
		Method: identity.ProofPairingStatus, Request: namespace + "/" + name, Exporter: m.exporter, CSR: csr,
	})
	if err != nil {
		return nil, err
	}
	return m.client.GetPairingRequestStatus(ctx, &gatewayv1.GetPairingRequestStatusRequest{Namespace: namespace, Name: name, Csr: csr, Proof: proof})
}

// connect makes any call to get the exporter of the connection.
func (m *machine) connect(ctx context.Context) {
	var p grpcpeer.Peer
	_, _ = m.client.GetPairingRequestStatus(ctx, &gatewayv1.GetPairingRequestStatusRequest{}, grpc.Peer(&p))
	var err error
	if m.exporter, err = scriptedagent.Exporter(&p); err != nil {
		m.t.Fatal(err)
	}
}
