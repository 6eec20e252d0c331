package session_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/console"
	"github.com/mooring-dev/mooring/nodeagent/identity/credentials"
	"github.com/mooring-dev/mooring/nodeagent/identity/renew"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/executor"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
	"github.com/mooring-dev/mooring/nodeagent/session"
	"github.com/mooring-dev/mooring/nodeagent/session/gatewaytime"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
	"github.com/mooring-dev/mooring/test/eventually"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gate is a capability that runs until opened is closed.
type gate struct {
	started chan struct{}
	opened  chan struct{}
}

func (g *gate) Name() string                    { return "gate" }
func (g *gate) Description() string             { return "waits" }
func (g *gate) Schema() json.RawMessage         { return nil }
func (g *gate) Mediation() capability.Mediation { return capability.MediationNone }
func (g *gate) Run(ctx context.Context, _ capability.Request) (json.RawMessage, error) {
	g.started <- struct{}{}
	select {
	case <-g.opened:
		return json.RawMessage(`"through"`), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// screen holds the output for people.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) await(t *testing.T, want string) {
	t.Helper()
	var shown string
	eventually.True(t, fmt.Sprintf("the screen shows %q", want), func() bool {
		shown = s.contents()
		return strings.Contains(shown, want)
	}, &shown)
}

func (s *screen) contents() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// allowingPolicy allows every run without a question.
type allowingPolicy struct{}

func (allowingPolicy) AllowsWithoutQuestion(mediation.Question) bool { return true }
func (allowingPolicy) Decide(context.Context, mediation.Question, mediation.AnswerStore) error {
	return nil
}

// noopObserver is an Observer that ignores every event.
type noopObserver struct{}

func (noopObserver) CapabilitiesGranted([]string)                {}
func (noopObserver) SessionOpened(string, string, time.Duration) {}
func (noopObserver) SessionClosed(string, string, time.Duration) {}

// agent is a paired agent under test.
type agent struct {
	dir     string
	screen  *screen
	gate    *gate
	creds   *credentials.Credentials
	journal *journal.Journal
	stop    context.CancelFunc
	done    chan error

	rotateKeyEvery    time.Duration
	transport         transport.Kind
	registry          *capability.Registry
	sinceBoot         func() time.Duration
	now               func() time.Time // default: time.Now
	extraCapabilities []capability.Capability
	log               *slog.Logger // default: no log
	observer          session.Observer
	retry             *backoff.Backoff
}

// start pairs a machine by hand, with a certificate that is valid for life, and runs it until the test
// ends.
func start(t *testing.T, g *fakegateway.Gateway, life time.Duration) *agent {
	t.Helper()
	a := &agent{}
	a.start(t, g, life)
	return a
}

func (a *agent) start(t testing.TB, g *fakegateway.Gateway, life time.Duration) {
	t.Helper()
	a.dir = t.TempDir() + "/id"
	s, err := store.Open(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	key := fakegateway.NewKey(t)
	leaf := g.DeviceCA.IssueDevice(t, fakegateway.ID("box"), &key.PublicKey, life)
	id, err := store.NewIdentity(key, []*x509.Certificate{leaf})
	if err == nil {
		err = s.FinishPairing(id, g.ServerCA.Bundle(t), store.Config{NodeEndpoint: g.NodeEndpoint, PairingEndpoint: g.PairingEndpoint})
	}
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	a.run(t)
}

// run starts the agent on its directory, for the first time or again.
func (a *agent) run(t testing.TB) {
	t.Helper()
	log := a.log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s, err := store.Open(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	if a.creds, err = credentials.Load(s); err != nil {
		t.Fatal(err)
	}
	a.journal, err = journal.Open(journal.Options{Path: s.JournalPath(), NewID: rand.Text, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	a.screen, a.gate = &screen{}, &gate{started: make(chan struct{}, 8), opened: make(chan struct{})}
	registry, err := capability.NewRegistry(append(a.extraCapabilities, capability.Echo{}, a.gate)...)
	if err != nil {
		t.Fatal(err)
	}
	a.registry = registry
	if a.sinceBoot == nil {
		a.sinceBoot = gatewaytime.SinceBoot
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.observer == nil {
		a.observer = noopObserver{}
	}
	if a.retry == nil {
		a.retry = backoff.New(time.Millisecond, 10*time.Millisecond)
	}
	clock := gatewaytime.NewClock(time.Now, a.sinceBoot)
	runs, err := executor.New(executor.Options{
		Journal: a.journal, Registry: registry, Policy: allowingPolicy{}, Now: clock.Now, Concurrency: 4, Grace: time.Second, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	dialer := link.Dialer{Log: log}
	renewer := renew.New(renew.Options{
		Credentials: a.creds, Dialer: dialer, Now: a.now, Rand: rand.Reader, Jitter: func() float64 { return 0 },
		MinPause: time.Millisecond, RotateKeyEvery: a.rotateKeyEvery, Log: log,
	})
	runner := session.New(session.Options{
		Observer:    a.observer,
		Credentials: a.creds, Dialer: dialer, Renewer: renewer, Journal: a.journal, Executor: runs, Registry: registry,
		System: &gatewayv1.SystemInfo{}, BootID: "boot", Clock: clock, Now: a.now,
		Jitter: func() float64 { return 0 }, Console: console.New(a.screen), Log: log,
		Retry: a.retry, Transport: a.transport, StreamProbe: transport.DefaultStreamProbe,
	})
	ctx, stop := context.WithCancel(context.Background())
	a.done = make(chan error, 1)
	var once sync.Once
	a.stop = func() {
		once.Do(func() {
			stop()
			if err := <-a.done; err != nil {
				t.Errorf("run: %v", err)
			}
			runs.Stop(context.Background())
			a.journal.Close()
			s.Close()
		})
	}
	go func() { a.done <- runner.Run(ctx) }()
	t.Cleanup(a.stop)
}

func ref(uid string) *gatewayv1.DispatchRef {
	return &gatewayv1.DispatchRef{Namespace: "fleet", Name: "d-" + uid, Uid: uid}
}

func offer(uid, name string) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: &gatewayv1.Offer{
		Dispatch: ref(uid), Capability: name, Input: []byte(`{"hello": "world"}`),
		Timeout: durationpb.New(30 * time.Second), Expires: timestamppb.New(time.Now().Add(time.Hour)), MaxPayloadBytes: 1 << 16,
	}}}
}

func settled(uid string) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{Settled: &gatewayv1.Settled{Dispatch: ref(uid)}}}
}

// awaitResult waits for the result of a dispatch.
func awaitResult(t testing.TB, s *fakegateway.Session, uid string) *gatewayv1.Result {
	t.Helper()
	return fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Result {
		if r := m.GetResult(); r.GetDispatch().GetUid() == uid {
			return r
		}
		return nil
	})
}

func TestADispatchGoesFromOfferToSettled(t *testing.T) {
	g := fakegateway.Start(t)
	a := start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	a.screen.await(t, "Session open with gateway "+g.NodeEndpoint)
	if h := s.Hello; h.GetDialCounter() != 1 || h.GetJournalId() != a.journal.ID() || h.GetProtocolVersion() != 1 ||
		hex.EncodeToString(h.GetBundleSha256()) != a.creds.Bundle().SHA256() || len(h.GetUnsettled()) != 0 {
		t.Errorf("hello: %v", h)
	}
	s.Send(t, offer("u", "echo"))
	fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Accepted { return m.GetAccepted() })
	r := awaitResult(t, s, "u")
	if r.GetOutcome() != gatewayv1.Result_OUTCOME_SUCCEEDED || r.GetExecution() != gatewayv1.Result_EXECUTION_FINISHED ||
		string(r.GetOutput()) != `{"hello":"world"}` || r.GetDispatch().GetName() != "d-u" || r.GetStartedTime() == nil {
		t.Errorf("result: %v", r)
	}
	s.Send(t, settled("u"))
	fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Heartbeat { return m.GetHeartbeat() })
	if open, err := a.journal.Unsettled(); err != nil || len(open) != 0 {
		t.Errorf("after Settled: %v, %v", open, err)
	}
}

func TestAResultOutlivesItsSessionAndIsRepeatedUntilSettled(t *testing.T) {
	g := fakegateway.Start(t)
	a := start(t, g, time.Hour)
	first := g.Node.NextSession(t)
	first.Send(t, offer("u", "gate"))
	<-a.gate.started
	first.End(status.Error(codes.Unavailable, "gateway dies"))
	second := g.Node.NextSession(t)
	if got := second.Hello; got.GetDialCounter() < 2 || len(got.GetUnsettled()) != 1 || got.GetUnsettled()[0].GetState() != gatewayv1.UnsettledDispatch_STATE_RUNNING {
		t.Errorf("hello of the second session: %v", got)
	}
	second.Send(t, offer("u", "gate")) // a gateway may repeat an offer
	close(a.gate.opened)
	if r := awaitResult(t, second, "u"); string(r.GetOutput()) != `"through"` {
		t.Errorf("result: %v", r)
	}
	second.End(nil)
	third := g.Node.NextSession(t)
	if got := third.Hello.GetUnsettled(); len(got) != 1 || got[0].GetState() != gatewayv1.UnsettledDispatch_STATE_FINISHED {
		t.Errorf("hello of the third session: %v", got)
	}
	awaitResult(t, third, "u")
	if len(a.gate.started) != 0 {
		t.Error("the dispatch ran twice")
	}
}

func TestAStoppingAgentReportsThenSaysGoodbye(t *testing.T) {
	g := fakegateway.Start(t)
	a := start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	s.Send(t, offer("u", "gate"))
	<-a.gate.started
	a.stop()
	if r := awaitResult(t, s, "u"); r.GetErrorCode() != "AgentRestarted" || r.GetExecution() != gatewayv1.Result_EXECUTION_FINISHED {
		t.Errorf("result: %v", r)
	}
	fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Stopping { return m.GetStopping() })
	a.run(t)
	again := g.Node.NextSession(t)
	if got := again.Hello; got.GetJournalId() != s.Hello.GetJournalId() || got.GetDialCounter() <= s.Hello.GetDialCounter() || len(got.GetUnsettled()) != 1 {
		t.Errorf("hello after the restart: %v", got)
	}
}

func TestACancelledDispatchEnds(t *testing.T) {
	g := fakegateway.Start(t)
	a := start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	s.Send(t, offer("u", "gate"))
	<-a.gate.started
	s.Send(t, &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Cancel{Cancel: &gatewayv1.Cancel{Dispatch: ref("u")}}})
	if r := awaitResult(t, s, "u"); r.GetOutcome() != gatewayv1.Result_OUTCOME_CANCELLED {
		t.Errorf("result: %v", r)
	}
}

func TestADrainingGatewayIsLeftAndOthersAreFound(t *testing.T) {
	g := fakegateway.Start(t)
	start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	s.Send(t, &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Drain{Drain: &gatewayv1.Drain{ReconnectAfter: durationpb.New(10 * time.Millisecond)}}})
	fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Stopping { return m.GetStopping() })
	g.Node.NextSession(t)
}

func TestATrustBundleIsStoredBeforeItIsAcknowledged(t *testing.T) {
	g := fakegateway.Start(t)
	a := start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	send := func(pem []byte) {
		s.Send(t, &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_TrustBundle{TrustBundle: &gatewayv1.TrustBundle{Pem: pem}}})
	}
	stranger := fakegateway.NewCA(t, "stranger").Bundle(t)
	send(stranger.PEM())    // this bundle would lock the machine out
	send([]byte("garbage")) // this is no bundle
	union, err := a.creds.Bundle().Merge(stranger)
	if err != nil {
		t.Fatal(err)
	}
	send(union.PEM())
	ack := fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.TrustBundleStored {
		return m.GetTrustBundleStored()
	})
	if got := hex.EncodeToString(ack.GetSha256()); got != union.SHA256() {
		t.Errorf("acknowledged %s, want %s", got, union.SHA256())
	}
	s.End(nil)
	if got := hex.EncodeToString(g.Node.NextSession(t).Hello.GetBundleSha256()); got != union.SHA256() {
		t.Errorf("the next hello names bundle %s, want %s", got, union.SHA256())
	}
}

func TestEveryRefusalIsSaidAndTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"revoked":                     {status.Error(codes.PermissionDenied, "the Node is revoked"), "refuses this machine (the Node is revoked)"},
		"revoked, with a reason":      {denied(t, gatewayv1.ReasonNodeRevoked), "refuses this machine: its Node is revoked; trying again. Next step: pair this machine again with another --identity-dir, under a new name"},
		"deleted, with a reason":      {denied(t, gatewayv1.ReasonNodeDeleted), "refuses this machine: its Node was deleted; trying again. Next step: pair this machine again"},
		"no Node, with a reason":      {denied(t, gatewayv1.ReasonNodeNotFound), "refuses this machine: there is no Node for its certificate; trying again. Next step: pair"},
		"wrong key, with a reason":    {denied(t, gatewayv1.ReasonKeyNotPinned), "refuses this machine: its Node is pinned to another key; trying again. Next step: if another installation replaced this one"},
		"a reason of a later gateway": {denied(t, "FROM_THE_FUTURE"), "refuses this machine (sentence of the gateway): if its Node was revoked or deleted"},
		"unavailable":                 {status.Error(codes.Unavailable, "policies are not proven"), "cannot be reached (policies are not proven)"},
		"not proven":                  {gatewayStatus(t, codes.Unavailable, "policies are not proven"), "answers: policies are not proven; trying again"},
		"no Node":                     {status.Error(codes.NotFound, "there is no such Node"), "answers: there is no such Node; trying again"},
		"busy":                        {status.Error(codes.ResourceExhausted, "too many sessions"), "answers: too many sessions; trying again"},
		"not accepted":                {status.Error(codes.Unauthenticated, "no such key"), "does not accept the certificate"},
		"replaced":                    {status.Error(codes.Aborted, "a newer session won"), "is a copy of the identity directory in use?"},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			var mu sync.Mutex
			attempts := 0
			g.Node.Register = func() error {
				mu.Lock()
				defer mu.Unlock()
				if attempts++; attempts < 3 {
					return c.err
				}
				return nil
			}
			a := start(t, g, time.Hour)
			a.screen.await(t, c.says)
			if s := g.Node.NextSession(t); s.Hello.GetDialCounter() != 3 {
				t.Errorf("dial counter %d, want 3: every dial counts", s.Hello.GetDialCounter())
			}
		})
	}
}

// gatewayStatus returns a status with the ErrorInfo that a gateway adds.
func gatewayStatus(t *testing.T, code codes.Code, message string) error {
	t.Helper()
	withInfo, err := status.New(code, message).WithDetails(&errdetails.ErrorInfo{Reason: "SaidByGateway"})
	if err != nil {
		t.Fatal(err)
	}
	return withInfo.Err()
}

// denied returns a denial with a reason.
func denied(t *testing.T, reason string) error {
	t.Helper()
	withInfo, err := status.New(codes.PermissionDenied, "sentence of the gateway").WithDetails(
		&errdetails.ErrorInfo{Reason: reason, Domain: gatewayv1.ErrorDomain})
	if err != nil {
		t.Fatal(err)
	}
	return withInfo.Err()
}

func TestAForeignGatewayIsNotTrusted(t *testing.T) {
	g, foreign := fakegateway.Start(t), fakegateway.Start(t)
	g.NodeEndpoint = foreign.NodeEndpoint
	start(t, g, time.Hour).screen.await(t, "cannot be trusted")
}

func TestACertificateTheGatewayRefusesIsSaid(t *testing.T) {
	g := fakegateway.Start(t)
	g.DeviceCA = fakegateway.NewCA(t, "another device CA")
	start(t, g, time.Hour).screen.await(t, "does not accept the certificate")
}

func TestAMachineThatSleptPastItsCertificateRecoversIt(t *testing.T) {
	g := fakegateway.Start(t)
	a := start(t, g, 0)
	g.Node.NextSession(t)
	if leaf := a.creds.Identity().Leaf(); time.Until(leaf.NotAfter) < time.Hour {
		t.Errorf("the certificate in use ends at %s", leaf.NotAfter)
	}
}

// TestACertificateThatEndsDuringASessionIsRecovered ends the certificate during a session. The
// gateway accepts no calls on a connection whose certificate has ended. A renewal over that
// connection would fail for as long as the session lasts.
func TestACertificateThatEndsDuringASessionIsRecovered(t *testing.T) {
	const life = 10 * time.Minute
	g := fakegateway.Start(t)
	g.DeviceCA.Backdate = time.Hour // so that the renewal is due as soon as the session is open
	var passed atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	g.Now = now
	g.Node.Welcome = func(*gatewayv1.Welcome) { passed.Store(int64(2 * life)) }
	a := &agent{now: now}
	a.start(t, g, life)
	first := g.Node.NextSession(t)
	if second := g.Node.NextSession(t); second.Serial == first.Serial {
		t.Error("the next session uses the same certificate")
	}
	if leaf := a.creds.Identity().Leaf(); time.Until(leaf.NotAfter) < time.Hour {
		t.Errorf("the certificate in use ends at %s", leaf.NotAfter)
	}
}

func TestACertificateThatCannotBeRecoveredIsSaid(t *testing.T) {
	g := fakegateway.Start(t)
	g.Pairing.Recover = func() error { return status.Error(codes.PermissionDenied, "the Node is revoked") }
	start(t, g, 0).screen.await(t, "cannot be recovered (the Node is revoked)")
}

func TestTheGatewaysTimeDecidesAboutExpiry(t *testing.T) {
	g := fakegateway.Start(t)
	g.Node.Welcome = func(w *gatewayv1.Welcome) { w.GatewayTime = timestamppb.New(time.Now().Add(48 * time.Hour)) }
	start(t, g, time.Hour)
	s := g.Node.NextSession(t)
	o := offer("u", "echo")
	o.GetOffer().Expires = timestamppb.New(time.Now().Add(49 * time.Hour))
	s.Send(t, o)
	if r := awaitResult(t, s, "u"); r.GetOutcome() != gatewayv1.Result_OUTCOME_SUCCEEDED || r.GetStartedTime().AsTime().Before(time.Now().Add(47*time.Hour)) {
		t.Errorf("result: %v", r)
	}
	s.Send(t, offer("v", "echo")) // expires in an hour by the machine's clock, two days ago by the gateway's
	if r := awaitResult(t, s, "v"); r.GetOutcome() != gatewayv1.Result_OUTCOME_TIMED_OUT || r.GetExecution() != gatewayv1.Result_EXECUTION_NOT_STARTED {
		t.Errorf("result: %v", r)
	}
}

// TestAnOfferThatExpiredWhileTheWelcomeWasUnderWayIsRefused delays the Welcome. The agent must not
// run an offer that expired meanwhile.
func TestAnOfferThatExpiredWhileTheWelcomeWasUnderWayIsRefused(t *testing.T) {
	const delay = 20 * time.Second
	for _, kind := range []transport.Kind{transport.Stream, transport.Poll} {
		t.Run(string(kind), func(t *testing.T) {
			g := fakegateway.Start(t)
			var passed atomic.Int64
			g.Node.Welcome = func(w *gatewayv1.Welcome) {
				passed.Add(int64(delay))
				w.GatewayTime = timestamppb.New(time.Now().Add(-delay))
			}
			a := &agent{transport: kind, sinceBoot: func() time.Duration { return gatewaytime.SinceBoot() + time.Duration(passed.Load()) }}
			a.start(t, g, time.Hour)
			s := g.Node.NextSession(t)
			o := offer("u", "echo")
			o.GetOffer().Expires = timestamppb.New(time.Now().Add(-delay / 2))
			s.Send(t, o)
			if r := awaitResult(t, s, "u"); r.GetOutcome() != gatewayv1.Result_OUTCOME_TIMED_OUT || r.GetExecution() != gatewayv1.Result_EXECUTION_NOT_STARTED {
				t.Errorf("result: %v", r)
			}
		})
	}
}

// TestASlowGatewayDoesNotLetOffersExpireEarly lets the gateway work on a Hello for 15 seconds, as it
// does while the API server restarts. Its clock is ahead of the machine's, as it is for half of all
// machines.
func TestASlowGatewayDoesNotLetOffersExpireEarly(t *testing.T) {
	const work, ahead = 15 * time.Second, time.Second / 2
	for _, kind := range []transport.Kind{transport.Stream, transport.Poll} {
		t.Run(string(kind), func(t *testing.T) {
			g := fakegateway.Start(t)
			var passed atomic.Int64
			gatewayTime := time.Now().Add(ahead)
			g.Node.Welcome = func(w *gatewayv1.Welcome) {
				passed.Add(int64(work))
				w.GatewayTime = timestamppb.New(gatewayTime)
				w.ProcessingDuration = durationpb.New(work)
			}
			a := &agent{transport: kind, sinceBoot: func() time.Duration { return gatewaytime.SinceBoot() + time.Duration(passed.Load()) }}
			a.start(t, g, time.Hour)
			s := g.Node.NextSession(t)
			o := offer("u", "echo")
			o.GetOffer().Expires = timestamppb.New(time.Now().Add(work - time.Second))
			s.Send(t, o)
			if r := awaitResult(t, s, "u"); r.GetOutcome() != gatewayv1.Result_OUTCOME_SUCCEEDED {
				t.Errorf("result: %v", r)
			}
		})
	}
}

func TestACertificateIsRenewedWithTheSameKeyAndUsedAtOnce(t *testing.T) {
	g := fakegateway.Start(t)
	a := start(t, g, 5*time.Second)
	first := g.Node.NextSession(t)
	before := a.creds.Identity()
	second := g.Node.NextSession(t)
	after := a.creds.Identity()
	if first.Serial == second.Serial {
		t.Error("the new session uses the old certificate")
	}
	if !after.Key.Equal(before.Key) || after.Leaf().Equal(before.Leaf()) || after.ID != before.ID {
		t.Errorf("renewed to %s", after.ID)
	}
	a.stop()
	s, err := store.Open(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if stored, err := s.Identity(); err != nil || !stored.Leaf().Equal(after.Leaf()) {
		t.Errorf("the renewed certificate is not stored: %v", err)
	}
}
