package gateway_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

func TestThreeWrongPINsBurnACodeAcrossARestart(t *testing.T) {
	serverCA, deviceCA := identitytest.NewAuthority(t, "server-ca"), identitytest.NewAuthority(t, "device-ca")
	same := func(s *settings) { s.serverCA, s.deviceCA = serverCA, deviceCA }
	first := newGateway(t, same)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	for range 2 {
		if _, err := first.machine(t).pair(t.Context(), code.withWrongPIN()); status.Code(err) != codes.Unauthenticated {
			t.Fatalf("wrong PIN: got %v, want Unauthenticated", err)
		}
	}
	first.stop()
	second := newGateway(t, same)
	if _, err := second.machine(t).pair(t.Context(), code.withWrongPIN()); status.Code(err) != codes.Unauthenticated {
		t.Fatalf("third wrong PIN: got %v, want Unauthenticated", err)
	}
	if _, err := second.machine(t).pair(t.Context(), code.Code); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the right PIN after three wrong ones: got %v, want Unauthenticated", err)
	}
	if used := code.triesUsed(t); used != 3 || len(code.requests(t)) != 0 {
		t.Errorf("%d tries used, %d requests; want 3 and none", used, len(code.requests(t)))
	}
}

func TestNothingTellsAnUnknownFromAWrongFromASpentCode(t *testing.T) {
	g := newGateway(t)
	namespace := shared.Namespace(t)
	spent, expired, wrong := issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{}),
		issueCode(t, namespace, -time.Second, v1alpha1.PairingCodeSpec{}), issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{})
	if _, err := g.machine(t).pair(t.Context(), spent.Code); err != nil {
		t.Fatal(err)
	}
	deleted := issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{})
	if err := shared.Client().Delete(t.Context(), deleted.object); err != nil {
		t.Fatal(err)
	}
	answers := map[string][]string{}
	for name, code := range map[string]spake.Code{
		"unknown": {LookupID: "ZZZZZZ", PIN: "123456"}, "wrong": wrong.withWrongPIN(), "spent": spent.Code,
		"expired": expired.Code, "of a deleted PairingCode": deleted.Code,
	} {
		_, err := g.machine(t).pair(t.Context(), code)
		text, err := proto.Marshal(status.Convert(err).Proto())
		if err != nil {
			t.Fatal(err)
		}
		answers[string(text)] = append(answers[string(text)], name)
	}
	if len(answers) != 1 {
		t.Errorf("the codes are told apart by their answers: %v", answers)
	}
	for text := range answers {
		if !strings.Contains(text, "not accepted") {
			t.Errorf("the answer is %q", text)
		}
	}
}

func TestAThousandConcurrentWrongPINsAreThreeVerifications(t *testing.T) {
	const connections, perConnection = 250, 4
	g := newGateway(t, func(s *settings) { s.pairing.BeginsPerSecond = connections * perConnection })
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	var attempts sync.WaitGroup
	var refused atomic.Int64
	for range connections {
		m := g.machine(t)
		attempts.Go(func() {
			var exchanges []*exchange
			for range perConnection {
				e, err := m.startExchange(t.Context(), code.withWrongPIN())
				if err != nil {
					t.Errorf("begin: %v", err)
					return
				}
				exchanges = append(exchanges, e)
			}
			for _, e := range exchanges {
				if _, err := m.client.CompletePairingSession(t.Context(), e.request); status.Code(err) == codes.Unauthenticated {
					refused.Add(1)
				} else {
					t.Errorf("complete: got %v, want Unauthenticated", err)
				}
			}
		})
	}
	attempts.Wait()
	verified := 0
	for _, line := range g.log.snapshot() {
		if strings.Contains(line, "pairing confirmation refused") {
			verified++
		}
	}
	if refused.Load() != connections*perConnection || verified != 3 || code.triesUsed(t) != 3 {
		t.Errorf("%d refused, %d verified, %d tries used; want %d, 3, 3", refused.Load(), verified, code.triesUsed(t), connections*perConnection)
	}
}

func TestOfManyRacersWithTwoKeysOneKeyWinsOneRequest(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	keys := [2]*machine{g.machine(t), g.machine(t)}
	var racers sync.WaitGroup
	var mu sync.Mutex
	won := map[string]int{}
	for n := range 50 {
		m := g.machineWith(t, keys[n%2].key)
		racers.Go(func() {
			answer, err := m.pair(t.Context(), code.Code)
			if err != nil {
				if status.Code(err) != codes.Unauthenticated {
					t.Errorf("a loser: got %v, want Unauthenticated", err)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			won[m.pin()+" "+answer.GetName()]++
		})
	}
	racers.Wait()
	requests := code.requests(t)
	if len(won) != 1 || len(requests) != 1 {
		t.Fatalf("winners %v, %d requests; want one key with one request", won, len(requests))
	}
	winner := string(code.record(t)[v1alpha1.RecordKeyConsumedBy])
	if requests[0].Spec.PublicKeySHA256 != winner {
		t.Errorf("the request is of key %s, the code was consumed by %s", requests[0].Spec.PublicKeySHA256, winner)
	}
	if code.triesUsed(t) != 0 {
		t.Errorf("%d tries stay used after right confirmations alone", code.triesUsed(t))
	}
}

// relay forwards pairing calls with its own server certificate.
type relay struct {
	gatewayv1.UnimplementedPairingServiceServer
	upstream gatewayv1.PairingServiceClient
}

func (r relay) BeginPairingSession(ctx context.Context, in *gatewayv1.BeginPairingSessionRequest) (*gatewayv1.BeginPairingSessionResponse, error) {
	return r.upstream.BeginPairingSession(ctx, in)
}

func (r relay) CompletePairingSession(ctx context.Context, in *gatewayv1.CompletePairingSessionRequest) (*gatewayv1.CompletePairingSessionResponse, error) {
	return r.upstream.CompletePairingSession(ctx, in)
}

func TestARelayWithItsOwnCertificateGetsNothing(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	mitm := g.machine(t)
	mitm.connect(t.Context()) // so that it can also sign a proof for its own connection
	cert, key := identitytest.NewAuthority(t, "mitm").IssueServer(t)
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})))
	gatewayv1.RegisterPairingServiceServer(server, relay{upstream: mitm.client})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	victim := newMachine(t, listener.Addr().String(), identitytest.NewKey(t))
	if _, err := victim.pair(t.Context(), code.Code); status.Code(err) != codes.Unauthenticated {
		t.Errorf("plain relay: got %v, want Unauthenticated", err)
	}
	// A relay that inserts its own key and a valid proof for its own connection.
	e, err := victim.startExchange(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	e.request.PublicKey = mitm.publicKey()
	own, err := mitm.startExchange(t.Context(), code.withWrongPIN())
	if err != nil {
		t.Fatal(err)
	}
	e.request.Proof = own.request.GetProof()
	if _, err := mitm.client.CompletePairingSession(t.Context(), e.request); status.Code(err) != codes.Unauthenticated {
		t.Errorf("relay with its own key: got %v, want Unauthenticated", err)
	}
	if len(code.requests(t)) != 0 {
		t.Error("the relay caused a pairing request")
	}
}

func TestRecordedMessagesAreWorthNothingElsewhere(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	m := g.machine(t)
	e, err := m.startExchange(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	thief := g.machine(t)
	thief.connect(t.Context())
	if _, err := thief.client.CompletePairingSession(t.Context(), e.request); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the session on another connection: got %v, want FailedPrecondition", err)
	}
	answer, err := m.client.CompletePairingSession(t.Context(), e.request)
	if err != nil {
		t.Fatalf("the session on its own connection, after the thief: %v", err)
	}
	if err := e.verify(answer); err != nil {
		t.Error(err)
	}
	if _, err := m.client.CompletePairingSession(t.Context(), e.request); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("the session a second time: got %v, want FailedPrecondition", err)
	}
	// The proof of the poll is bound to its connection too.
	proof, err := identity.SignProof(m.key, rand.Reader, identity.Proof{
		Method: identity.ProofPairingStatus, Request: answer.GetNamespace() + "/" + answer.GetName(), Exporter: m.exporter,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = thief.client.GetPairingRequestStatus(t.Context(), &gatewayv1.GetPairingRequestStatusRequest{
		Namespace: answer.GetNamespace(), Name: answer.GetName(), Proof: proof,
	})
	if status.Code(err) != codes.NotFound { // as for a request that does not exist: no oracle
		t.Errorf("a recorded poll on another connection: got %v, want NotFound", err)
	}
}

func TestASwappedKeyIsNotAccepted(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	m := g.machine(t)
	e, err := m.startExchange(t.Context(), code.Code)
	if err != nil {
		t.Fatal(err)
	}
	m.key = identitytest.NewKey(t)
	e.request.PublicKey = m.publicKey()
	if e.request.Proof, err = identity.SignProof(m.key, rand.Reader, identity.Proof{Method: identity.ProofCompletePairing, Exporter: m.exporter}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.client.CompletePairingSession(t.Context(), e.request); status.Code(err) != codes.Unauthenticated {
		t.Errorf("got %v, want Unauthenticated", err)
	}
	if code.triesUsed(t) != 1 {
		t.Errorf("%d tries used, want 1", code.triesUsed(t))
	}
}

func TestAnAddressThatBurnsCodesIsBlocked(t *testing.T) {
	g := newGateway(t)
	namespace := shared.Namespace(t)
	for range 5 {
		code := issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{})
		for range v1alpha1.MaxPairingTries {
			_, _ = g.machine(t).pair(t.Context(), code.withWrongPIN())
		}
	}
	fresh := issueCode(t, namespace, time.Minute, v1alpha1.PairingCodeSpec{})
	if _, err := g.machine(t).pair(t.Context(), fresh.Code); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("after five burnt codes: got %v, want ResourceExhausted", err)
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	_, _ = g.machine(t).pair(t.Context(), code.withWrongPIN())
	if _, err := g.machine(t).pair(t.Context(), code.Code); err != nil {
		t.Fatal(err)
	}
	logged := strings.Join(g.log.snapshot(), "\n")
	if !strings.Contains(logged, "pairing requested") {
		t.Fatalf("nothing was logged:\n%s", logged)
	}
	for _, secret := range []string{code.PIN, code.withWrongPIN().PIN, code.LookupID + "-"} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}
