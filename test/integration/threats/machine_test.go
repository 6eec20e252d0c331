package threats_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/test/scriptedagent"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// machine is an attacker with a machine's certificate.
type machine struct {
	*fleet
	store.Identity
	client      gatewayv1.NodeServiceClient
	pairing     gatewayv1.PairingServiceClient
	journal     string
	dialCounter uint64
}

// connect uses an identity on the node listener and on the pairing listener.
func (f *fleet) connect(id store.Identity) *machine {
	f.Helper()
	trust := testfleet.Read(f, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap}})
	bundle, err := identity.ParseBundle([]byte(trust.Data[v1alpha1.TrustServerCAKey]))
	if err != nil {
		f.Fatal(err)
	}
	dial := func(address string, certificates ...tls.Certificate) *grpc.ClientConn {
		config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: identity.ServerName, RootCAs: bundle.Pool(), Certificates: certificates}
		connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { connection.Close() })
		return connection
	}
	return &machine{fleet: f, Identity: id, journal: uuid.NewString(), dialCounter: 100,
		client:  gatewayv1.NewNodeServiceClient(dial(system.NodeEndpoint, id.TLSCertificate())),
		pairing: gatewayv1.NewPairingServiceClient(dial(system.PairingEndpoint))}
}

// exporterOf returns the TLS exporter of the connection of a call, which binds a proof to that
// connection.
func (m *machine) exporterOf(call func(...grpc.CallOption)) []byte {
	m.Helper()
	var p grpcpeer.Peer
	call(grpc.Peer(&p))
	exporter, err := scriptedagent.Exporter(&p)
	if err != nil {
		m.Fatal(err)
	}
	return exporter
}

func (f *fleet) csr(key *ecdsa.PrivateKey, id identity.ID) []byte {
	f.Helper()
	der, err := identity.NewCSR(key, id)
	if err != nil {
		f.Fatal(err)
	}
	return der
}

func (f *fleet) sign(key *ecdsa.PrivateKey, p identity.Proof) []byte {
	f.Helper()
	signature, err := identity.SignProof(key, rand.Reader, p)
	if err != nil {
		f.Fatal(err)
	}
	return signature
}

func (m *machine) newHello(unsettled ...*gatewayv1.UnsettledDispatch) *gatewayv1.Hello {
	m.dialCounter++
	return &gatewayv1.Hello{BootId: "boot", JournalId: m.journal, DialCounter: m.dialCounter, ProtocolVersion: 1, Unsettled: unsettled}
}

func (m *machine) register() error {
	_, err := m.client.RegisterNode(m.BoundedContext(), newRegistration())
	return err
}

func newRegistration() *gatewayv1.RegisterNodeRequest {
	return &gatewayv1.RegisterNodeRequest{
		System:       &gatewayv1.SystemInfo{Os: "linux", Arch: "amd64", Platform: "linux/amd64", Hostname: "hostile"},
		Capabilities: []*gatewayv1.Capability{{Name: "echo", Available: true}},
	}
}

// session is one stream of a hostile machine.
type session struct {
	*machine
	*scriptedagent.Session
}

// openSession opens a session and waits for its Welcome.
func (m *machine) openSession(unsettled ...*gatewayv1.UnsettledDispatch) *session {
	m.Helper()
	return m.openSessionWith(newRegistration(), m.newHello(unsettled...))
}

func (m *machine) openSessionWith(register *gatewayv1.RegisterNodeRequest, hello *gatewayv1.Hello) *session {
	m.Helper()
	if _, err := m.client.RegisterNode(m.BoundedContext(), register); err != nil {
		m.Fatal(err)
	}
	s := &session{m, scriptedagent.Open(m.Context(), m, m.client, hello, testfleet.WaitTimeout)}
	scriptedagent.Await(s.Session, "Welcome", (*gatewayv1.StreamNodeEventsResponse).GetWelcome)
	return s
}

func (s *session) awaitOffer() *gatewayv1.DispatchRef {
	s.Helper()
	return scriptedagent.Await(s.Session, "Offer", (*gatewayv1.StreamNodeEventsResponse).GetOffer).GetDispatch()
}

func (s *session) awaitSettled() *gatewayv1.DispatchRef {
	s.Helper()
	return scriptedagent.Await(s.Session, "Settled", (*gatewayv1.StreamNodeEventsResponse).GetSettled).GetDispatch()
}

func forgedResult(ref *gatewayv1.DispatchRef) *gatewayv1.Result {
	return succeededResult(ref, []byte(`"forged"`))
}

func succeededResult(ref *gatewayv1.DispatchRef, output []byte) *gatewayv1.Result {
	return &gatewayv1.Result{Dispatch: ref, Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED, Execution: gatewayv1.Result_EXECUTION_FINISHED, Output: output}
}

func refOf(d *v1alpha1.CapabilityDispatch) *gatewayv1.DispatchRef {
	return &gatewayv1.DispatchRef{Namespace: d.Namespace, Name: d.Name, Uid: string(d.UID)}
}
