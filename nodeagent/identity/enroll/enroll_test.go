package enroll_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/nodeagent/console"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testMachine is a machine that pairs; its directory outlives restarts.
type testMachine struct {
	t        *testing.T
	dir      string
	out      bytes.Buffer
	code     *pairing.Code
	qr       *pairing.Invitation
	endpoint string
	now      func() time.Time
	retry    func() *backoff.Backoff
}

func newMachine(t *testing.T, g *fakegateway.Gateway) *testMachine {
	code := fakegateway.Code
	retry := func() *backoff.Backoff { return backoff.New(time.Millisecond, 5*time.Millisecond) }
	return &testMachine{t: t, dir: t.TempDir() + "/id", code: &code, endpoint: g.PairingEndpoint, now: time.Now, retry: retry}
}

// pair runs the pairing of one start of the agent.
func (m *testMachine) pair(ctx context.Context) error {
	m.t.Helper()
	s, err := store.Open(m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	defer s.Close()
	return enroll.Run(ctx, enroll.Options{
		Store: s, Endpoint: m.endpoint, Code: m.code, Invitation: m.qr, NodeName: "box", System: &gatewayv1.SystemInfo{Os: "linux"},
		Capabilities: []string{"echo"}, Console: console.New(&m.out), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: m.now, Rand: rand.Reader, NewBackoff: m.retry,
	})
}

// files returns the names of the files in the directory.
func (m *testMachine) files() string {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func (m *testMachine) content() string {
	var all bytes.Buffer
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(m.dir + "/" + e.Name())
		if err != nil {
			m.t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

func TestAMachinePairsWithTheRightCode(t *testing.T) {
	g := fakegateway.Start(t)
	m := newMachine(t, g)
	if err := m.pair(t.Context()); err != nil {
		t.Fatalf("pair: %v\n%s", err, m.out.String())
	}
	for _, want := range []string{"Verification code: ", "Waiting for approval of pairing request fleet/request …", "Paired as node fleet/box"} {
		if !strings.Contains(m.out.String(), want) {
			t.Errorf("the person never sees %q:\n%s", want, m.out.String())
		}
	}
	if got, want := m.files(), "config.json identity.pem lock trust.pem"; got != want {
		t.Errorf("directory holds %q, want %q", got, want)
	}
	s, err := store.Open(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id, err := s.Identity()
	if err != nil {
		t.Fatal(err)
	}
	pin, err := identity.FingerprintSPKI(&id.Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if code := pairing.VerificationCode(pin); !strings.Contains(m.out.String(), code) {
		t.Errorf("the screen does not show verification code %s of the stored key", code)
	}
}

func TestTheCodeNeverReachesTheDisk(t *testing.T) {
	g := fakegateway.Start(t)
	m := newMachine(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	g.Pairing.Status = func(int, []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
		cancel()
		return pendingStatus("wait"), nil
	}
	_ = m.pair(ctx)
	if content := m.content(); strings.Contains(content, fakegateway.Code.PIN) {
		t.Error("the identity directory holds the PIN")
	}
}

func TestAWrongCodeIsTriedThreeTimesAtMost(t *testing.T) {
	g := fakegateway.Start(t)
	m := newMachine(t, g)
	m.code.PIN = "000000"
	for try := range 3 {
		if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrWrongCode) {
			t.Fatalf("start %d: got %v, want ErrWrongCode", try+1, err)
		}
	}
	for range 2 {
		m.code.PIN = fakegateway.Code.PIN // even with the right PIN
		if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrNoTriesLeft) {
			t.Fatalf("got %v, want ErrNoTriesLeft", err)
		}
	}
	if got := g.Pairing.Confirmations(); got != 3 {
		t.Errorf("the gateway saw %d confirmations, want 3", got)
	}
}

func TestAGatewayThatNeverAnswersSeesThreeConfirmations(t *testing.T) {
	g := fakegateway.Start(t)
	g.Pairing.Complete = func(*gatewayv1.CompletePairingSessionResponse) (*gatewayv1.CompletePairingSessionResponse, error) {
		return nil, status.Error(codes.Unavailable, "later")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m := newMachine(t, g)
	if err := m.pair(ctx); !errors.Is(err, enroll.ErrNoTriesLeft) {
		t.Fatalf("got %v, want ErrNoTriesLeft", err)
	}
	if err := m.pair(ctx); !errors.Is(err, enroll.ErrNoTriesLeft) {
		t.Fatalf("after a restart: got %v, want ErrNoTriesLeft", err)
	}
	if got := g.Pairing.Confirmations(); got != 3 {
		t.Errorf("the gateway saw %d confirmations, want 3", got)
	}
}

func TestNothingOfAnUnprovenGatewayIsStored(t *testing.T) {
	other := fakegateway.NewCA(t, "other")
	mutations := map[string]func(*gatewayv1.CompletePairingSessionResponse){
		"a confirmation that is not its own": func(a *gatewayv1.CompletePairingSessionResponse) { a.Confirmation[0] ^= 1 },
		"no confirmation":                    func(a *gatewayv1.CompletePairingSessionResponse) { a.Confirmation = nil },
		"another CA bundle":                  func(a *gatewayv1.CompletePairingSessionResponse) { a.TrustBundle = other.Bundle(t).PEM() },
		"another node endpoint":              func(a *gatewayv1.CompletePairingSessionResponse) { a.NodeEndpoint = "evil.example:7444" },
		"another namespace":                  func(a *gatewayv1.CompletePairingSessionResponse) { a.Namespace = "evil" },
	}
	for name, mutate := range mutations {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			g.Pairing.Complete = func(a *gatewayv1.CompletePairingSessionResponse) (*gatewayv1.CompletePairingSessionResponse, error) {
				mutate(a)
				return a, nil
			}
			m := newMachine(t, g)
			if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrUnprovenGateway) {
				t.Fatalf("got %v, want ErrUnprovenGateway", err)
			}
			if got, want := m.files(), "lock pairing.json"; got != want {
				t.Errorf("directory holds %q, want %q", got, want)
			}
			for _, trace := range []string{"CERTIFICATE", "endpoint", "evil", "fleet"} {
				if strings.Contains(m.content(), trace) {
					t.Errorf("the directory holds %q, which only the gateway knows", trace)
				}
			}
		})
	}
}

func TestARelayInTheMiddleFailsToPair(t *testing.T) {
	g := fakegateway.Start(t)
	relay := fakegateway.StartRelay(t, g)
	m := newMachine(t, g)
	m.endpoint = relay
	if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrWrongCode) && !errors.Is(err, enroll.ErrUnprovenGateway) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if got, want := m.files(), "lock pairing.json"; got != want {
		t.Errorf("directory holds %q, want %q", got, want)
	}
}

func TestARestartWhileWaitingResumesTheSameRequest(t *testing.T) {
	g := fakegateway.Start(t)
	m := newMachine(t, g)
	ctx, cancel := context.WithCancelCause(t.Context())
	g.Pairing.Status = func(poll int, _ []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
		if poll > 1 {
			return nil, nil
		}
		cancel(errors.New("killed"))
		return pendingStatus("waiting for an approver"), nil
	}
	if err := m.pair(ctx); err == nil {
		t.Fatal("the first start ended paired")
	}
	first := m.out.String()
	m.out.Reset()
	m.code, m.endpoint = nil, ""
	if err := m.pair(t.Context()); err != nil {
		t.Fatalf("resume without a code: %v", err)
	}
	if got := g.Pairing.Confirmations(); got != 1 {
		t.Errorf("%d confirmations were sent, want 1", got)
	}
	line, _, _ := strings.Cut(first, "\n")
	if !strings.HasPrefix(m.out.String(), line) {
		t.Errorf("verification code changed over the restart:\n%s\n%s", first, m.out.String())
	}
}

func TestAnUnreachableGatewayIsSaidAndTriedAgain(t *testing.T) {
	g := fakegateway.Start(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, g)
	m.endpoint = closed.Addr().String()
	closed.Close()
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	m.retry = func() *backoff.Backoff {
		return &backoff.Backoff{Base: time.Millisecond, Cap: time.Millisecond, Jitter: func() float64 {
			if tries++; tries == 5 {
				cancel()
			}
			return 0
		}}
	}
	if err := m.pair(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want to try until stopped", err)
	}
	if got := strings.Count(m.out.String(), "cannot be reached"); got != 1 {
		t.Errorf("the line is printed %d times, want once:\n%s", got, m.out.String())
	}
}

func TestABusyGatewayIsAskedAgain(t *testing.T) {
	g := fakegateway.Start(t)
	begins := 0
	g.Pairing.Begin = func() error {
		if begins++; begins < 5 {
			return status.Error(codes.ResourceExhausted, "too many pairings")
		}
		return nil
	}
	if err := newMachine(t, g).pair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := g.Pairing.Confirmations(); got != 1 {
		t.Errorf("%d confirmations were sent, want 1: Begin costs no try", got)
	}
}

func TestEveryEndOfARequestHasItsOwnError(t *testing.T) {
	denied := &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Denied{Denied: &gatewayv1.PairingDenied{Reason: "not\x1b[2J ours"}}}
	failed := &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Failed{Failed: &gatewayv1.PairingFailed{Reason: "NameTaken"}}}
	expired := &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Expired{Expired: &gatewayv1.PairingExpired{}}}
	for name, c := range map[string]struct {
		answer *gatewayv1.GetPairingRequestStatusResponse
		want   error
		says   string
	}{
		"denied":  {denied, enroll.ErrDenied, "not\uFFFD[2J ours"},
		"failed":  {failed, enroll.ErrFailed, "NameTaken"},
		"expired": {expired, enroll.ErrExpired, "new code"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			g.Pairing.Status = func(int, []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) { return c.answer, nil }
			m := newMachine(t, g)
			err := m.pair(t.Context())
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %v saying %q", err, c.want, c.says)
			}
			m.code = nil
			if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrNoCode) {
				t.Errorf("the next start without a code: got %v, want ErrNoCode", err)
			}
		})
	}
}

// TestARequestThatIsGoneIsNamedWhileItIsAskedFor checks that a gateway which answers is not called
// unreachable: the person would search for a network failure.
func TestARequestThatIsGoneIsNamedWhileItIsAskedFor(t *testing.T) {
	g := fakegateway.Start(t)
	g.Pairing.Status = func(int, []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
		return nil, status.Error(codes.NotFound, "there is no such pairing request for this key")
	}
	m := newMachine(t, g)
	began, asked := time.Now(), 0
	m.now = func() time.Time { // half a minute passes within 30 calls
		asked++
		return began.Add(time.Duration(asked) * time.Second)
	}
	if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrFailed) || !strings.Contains(err.Error(), "does not exist any more: ask for a new code") {
		t.Errorf("got %v", err)
	}
	if out := m.out.String(); strings.Contains(out, "cannot be reached") || strings.Count(out, "does not know this pairing request: it may have been deleted") != 1 {
		t.Errorf("the person sees:\n%s", out)
	}
}

func TestATakenNameIsSaid(t *testing.T) {
	g := fakegateway.Start(t)
	g.Pairing.Complete = func(*gatewayv1.CompletePairingSessionResponse) (*gatewayv1.CompletePairingSessionResponse, error) {
		return nil, status.Error(codes.AlreadyExists, "name")
	}
	if err := newMachine(t, g).pair(t.Context()); !errors.Is(err, enroll.ErrNameTaken) {
		t.Fatalf("got %v, want ErrNameTaken", err)
	}
}

func TestTheNodeListenerIsNotMistakenForThePairingListener(t *testing.T) {
	g := fakegateway.Start(t)
	m := newMachine(t, g)
	m.endpoint = g.NodeEndpoint
	err := m.pair(t.Context())
	if !errors.Is(err, enroll.ErrFailed) || !strings.Contains(err.Error(), "node listener") {
		t.Fatalf("got %v, want a hint at the other port", err)
	}
}

func TestACertificateForAnotherNodeIsRefused(t *testing.T) {
	g := fakegateway.Start(t)
	stranger := fakegateway.NewKey(t)
	for name, leaf := range map[string][]byte{
		"another key": g.DeviceCA.IssueDevice(t, fakegateway.ID("box"), &stranger.PublicKey, time.Hour).Raw,
		"garbage":     []byte("garbage"),
	} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			g.Pairing.Status = func(int, []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
				return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Completed{
					Completed: &gatewayv1.PairingCompleted{Chain: [][]byte{leaf}}}}, nil
			}
			m := newMachine(t, g)
			if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrFailed) {
				t.Fatalf("got %v, want ErrFailed", err)
			}
			if strings.Contains(m.files(), "identity.pem") {
				t.Error("it was stored")
			}
		})
	}
}

func pendingStatus(message string) *gatewayv1.GetPairingRequestStatusResponse {
	return &gatewayv1.GetPairingRequestStatusResponse{State: &gatewayv1.GetPairingRequestStatusResponse_Pending{
		Pending: &gatewayv1.PairingPending{Message: message},
	}}
}
