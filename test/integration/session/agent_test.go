package session_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	"github.com/mooring-dev/mooring/test/scriptedagent"
)

// waitTimeout is the timeout of every wait, for a busy test machine.
const waitTimeout = 30 * time.Second

// machine is a paired machine with a scripted agent.
type machine struct {
	ca                authorities
	id                identity.ID
	tls               tls.Certificate
	node              *v1alpha1.Node
	journalID         string
	dialCounter       uint64
	customDescription *gatewayv1.RegisterNodeRequest // nil for the default description
}

// newPairedMachine creates a Node that grants echo and sleep, and returns the machine that is pinned to it.
func newPairedMachine(t *testing.T, ca authorities, namespace, name string, change func(*v1alpha1.Node)) *machine {
	t.Helper()
	m := &machine{ca: ca, id: identity.ID{TrustDomain: trustDomain, Namespace: namespace, Node: name}, journalID: uuid.NewString()}
	key := identitytest.NewKey(t)
	leaf := ca.device.IssueDevice(t, m.id, &key.PublicKey)
	m.tls = tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
	pin, err := identity.FingerprintSPKI(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	m.node = &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.NodeSpec{PublicKeySHA256: pin, PairingRequestUID: uuid.NewString(),
			CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"echo", "sleep"}}},
	}
	if change != nil {
		change(m.node)
	}
	if err := shared.Client().Create(t.Context(), m.node); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *machine) dial(t *testing.T, r *replica) gatewayv1.NodeServiceClient {
	t.Helper()
	return gatewayv1.NewNodeServiceClient(m.connection(t, r))
}

func (m *machine) connection(t *testing.T, r *replica) *grpc.ClientConn {
	t.Helper()
	bundle, err := identity.ParseBundle([]byte(m.ca.server.PEM()))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: identity.ServerName, RootCAs: bundle.Pool(),
		Certificates: []tls.Certificate{m.tls}}
	connection, err := grpc.NewClient(r.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func (m *machine) description() *gatewayv1.RegisterNodeRequest {
	if m.customDescription != nil {
		return m.customDescription
	}
	return &gatewayv1.RegisterNodeRequest{
		System: &gatewayv1.SystemInfo{Os: "linux", Arch: "amd64", Platform: "linux/amd64", Hostname: m.id.Node},
		Capabilities: []*gatewayv1.Capability{
			{Name: "echo", Available: true}, {Name: "sleep", Available: true}, {Name: "secret", Available: true},
		},
		BootId: "boot-1",
	}
}

// revocationProof returns the proof of a machine that gives up its identity on a connection.
func (m *machine) revocationProof(t *testing.T, exporter []byte) []byte {
	t.Helper()
	signer, _ := m.tls.PrivateKey.(crypto.Signer)
	proof, err := identity.SignProof(signer, rand.Reader, identity.Proof{Method: identity.ProofRevoke, Request: m.id.URI(), Exporter: exporter})
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

// agent is one session of a machine.
type agent struct {
	*scriptedagent.Session
	t       *testing.T
	client  gatewayv1.NodeServiceClient
	cancel  context.CancelFunc
	close   func() error
	welcome *gatewayv1.Welcome
}

// nextHello returns the next Hello of the machine.
func (m *machine) nextHello(unsettled ...*gatewayv1.UnsettledDispatch) *gatewayv1.Hello {
	m.dialCounter++
	sum := sha256.Sum256([]byte("nothing yet"))
	return &gatewayv1.Hello{BootId: "boot-1", JournalId: m.journalID, DialCounter: m.dialCounter, ProtocolVersion: 1,
		BundleSha256: sum[:], Unsettled: unsettled}
}

// waitHandled returns once the gateway has handled all messages that were sent before. It sends a foreign
// result and waits for its Settled.
func (a *agent) waitHandled() {
	a.t.Helper()
	foreign := &gatewayv1.DispatchRef{Namespace: "kube-system", Name: "x", Uid: uuid.NewString()}
	a.succeed(foreign, `1`)
	a.nextSettled()
}

// startSession registers and sends Hello, and does not wait for the answer.
func (m *machine) startSession(t *testing.T, r *replica, hello *gatewayv1.Hello) *agent {
	t.Helper()
	connection := m.connection(t, r)
	if _, err := gatewayv1.NewNodeServiceClient(connection).RegisterNode(t.Context(), m.description()); err != nil {
		t.Fatalf("register: %v", err)
	}
	return m.openStream(t, connection, hello)
}

// openStream sends Hello on a connection on which the machine has registered.
func (m *machine) openStream(t *testing.T, connection *grpc.ClientConn, hello *gatewayv1.Hello) *agent {
	t.Helper()
	a := &agent{t: t, client: gatewayv1.NewNodeServiceClient(connection), close: connection.Close}
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(context.Background())
	t.Cleanup(a.cancel)
	a.Session = scriptedagent.Open(ctx, t, a.client, hello, waitTimeout)
	return a
}

// connect opens a session and waits for its Welcome and trust bundle.
func (m *machine) connect(t *testing.T, r *replica, unsettled ...*gatewayv1.UnsettledDispatch) *agent {
	t.Helper()
	dialedAt := time.Now()
	a := m.startSession(t, r, m.nextHello(unsettled...))
	a.welcome = expect(a, "Welcome", (*gatewayv1.StreamNodeEventsResponse).GetWelcome)
	if d := a.welcome.GetProcessingDuration().AsDuration(); d <= 0 || d > time.Since(dialedAt) {
		t.Errorf("the gateway says that it worked %s on a Hello that was answered in %s", d, time.Since(dialedAt))
	}
	expect(a, "TrustBundle", (*gatewayv1.StreamNodeEventsResponse).GetTrustBundle)
	return a
}

// expect returns the next message, which must be of one kind.
func expect[T any](a *agent, kind string, get func(*gatewayv1.StreamNodeEventsResponse) *T) *T {
	a.t.Helper()
	return scriptedagent.Next(a.Session, kind, get)
}

func (a *agent) nextOffer() *gatewayv1.Offer {
	a.t.Helper()
	return expect(a, "Offer", (*gatewayv1.StreamNodeEventsResponse).GetOffer)
}

func (a *agent) nextSettled() *gatewayv1.Settled {
	a.t.Helper()
	return expect(a, "Settled", (*gatewayv1.StreamNodeEventsResponse).GetSettled)
}

func (a *agent) nextCancel() *gatewayv1.Cancel {
	a.t.Helper()
	return expect(a, "Cancel", (*gatewayv1.StreamNodeEventsResponse).GetCancel)
}

func (a *agent) wantEnd(code codes.Code) {
	a.t.Helper()
	if got := a.AwaitEnd(); got.Code() != code {
		a.t.Fatalf("the session ended with %v, want %s", got.Err(), code)
	}
}

func (a *agent) accept(ref *gatewayv1.DispatchRef) {
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Accepted{Accepted: &gatewayv1.Accepted{Dispatch: ref}}})
}

func (a *agent) succeed(ref *gatewayv1.DispatchRef, output string) {
	a.Report(&gatewayv1.Result{Dispatch: ref, Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED,
		Execution: gatewayv1.Result_EXECUTION_FINISHED, Output: []byte(output)})
}

// stop ends the session on purpose.
func (a *agent) stop() {
	a.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Stopping{Stopping: &gatewayv1.Stopping{Reason: "test"}}})
	a.AwaitEnd()
}

// stopAfterSettled calls stop after n dispatches are settled.
func (a *agent) stopAfterSettled(n int) {
	a.t.Helper()
	for range n {
		a.nextSettled()
	}
	a.stop()
}

// newDispatch returns a dispatch for the machine that is not created yet.
func (m *machine) newDispatch() *v1alpha1.CapabilityDispatch {
	return &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.id.Namespace, GenerateName: "d-"},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: m.id.Node, Capability: "echo", Input: &v1alpha1.JSON{Raw: []byte(`{"a":1}`)}},
	}
}

// createDispatch creates a dispatch for the machine.
func (m *machine) createDispatch(t *testing.T, change func(*v1alpha1.CapabilityDispatch)) *v1alpha1.CapabilityDispatch {
	t.Helper()
	d := m.newDispatch()
	if change != nil {
		change(d)
	}
	if err := shared.Client().Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// getLive reads an object live.
func getLive[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := shared.Client().Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
	return object
}
