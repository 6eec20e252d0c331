package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

const (
	minHeartbeat     = time.Second
	maxHeartbeat     = 5 * time.Minute
	defaultHeartbeat = 30 * time.Second

	// resendAfter is the time for which a sent result may wait for Settled before it is repeated.
	resendAfter = time.Minute
	// stopTimeout bounds the wait of a stopping agent for its capabilities. closeTimeout bounds
	// its wait for the gateway to end the stream.
	stopTimeout  = 5 * time.Second
	closeTimeout = 3 * time.Second
)

var errStreamNotEnded = errors.New("the gateway did not end the stream in time")

// session is one session with a gateway, over either transport. It has four goroutines: run, which
// becomes receive, and write, maintain and renew. The first error ends all of them.
type session struct {
	*Runner
	link             *transport.SessionLink
	agentStop        context.Context // ends when the agent stops
	conn             transport.Conn
	sessionTransport transport.Kind
	// maxDuration is the time after which another transport is tried; 0 means never.
	maxDuration time.Duration
	// capabilitiesChanged is closed when the declaration in RegisterNode is out of date.
	capabilitiesChanged <-chan struct{}

	queue       chan *gatewayv1.StreamNodeEventsRequest // nil asks to close the agent's side
	closed      <-chan struct{}                         // the session is over
	endRequests chan error                              // asks maintain to end the session

	welcomed atomic.Bool
	mu       sync.Mutex
	reason   error                // reason for an end that the agent wants; else nil
	sent     map[string]time.Time // results not yet settled
}

func newSession(r *Runner, l *link.Link, stop context.Context) *session {
	s := &session{
		Runner: r, link: transport.NewSessionLink(l, r.redial), agentStop: stop,
		queue:       make(chan *gatewayv1.StreamNodeEventsRequest, 64),
		endRequests: make(chan error, 1),
		sent:        map[string]time.Time{},
	}
	s.sessionTransport, s.maxDuration = r.transport.Next()
	s.conn = transport.NewConn(s.sessionTransport, s.link, r.Jitter, r.Clock.Now)
	return s
}

// run opens the session, sends Hello, waits for Welcome, and starts the other goroutines.
func (s *session) run(ctx context.Context, counter uint64, group *errgroup.Group) error {
	askedAt := s.Clock.Elapsed()
	welcome, err := s.open(ctx, counter)
	if err != nil {
		return err
	}
	s.debugWelcome(ctx, welcome)
	s.Clock.Observe(welcome.GetGatewayTime().AsTime(), askedAt, welcome.GetProcessingDuration().AsDuration())
	s.welcomed.Store(true)
	if err := s.Credentials.SaveAcceptedKey(); err != nil {
		return err
	}
	s.closed = ctx.Done()
	l, _ := s.link.Current()
	s.Console.Print("Session open with gateway %s", l.Address)
	s.Log.Info("session open", "session", welcome.GetSessionId(), "gateway", l.Address, "dial", counter, "transport", s.sessionTransport, "clockSkew", s.Clock.Skew().Round(time.Second))
	s.Observer.SessionOpened(welcome.GetSessionId(), string(s.sessionTransport), s.Clock.Skew())
	if slices.Contains(welcome.GetFeatures(), gatewayv1.Feature_FEATURE_CLEARANCE) {
		s.Executor.AttachWithClearances(s)
	} else {
		s.Executor.Attach(s)
	}
	group.Go(s.write)
	group.Go(func() error { return s.maintain(ctx, heartbeatInterval(welcome)) })
	group.Go(func() error { return s.renew(ctx) })
	return s.receive()
}

// open sends Hello and waits for Welcome. A timeout and the agent's stop end the wait.
func (s *session) open(ctx context.Context, counter uint64) (*gatewayv1.Welcome, error) {
	hello, err := s.newHello(counter)
	if err != nil {
		return nil, err
	}
	s.Log.DebugContext(ctx, "sending hello", "dial", counter, "unsettled", len(hello.GetHello().GetUnsettled()))
	opened := make(chan struct{})
	watched := make(chan struct{})
	defer func() { close(opened); <-watched }()
	go func() {
		defer close(watched)
		late := time.NewTimer(welcomeTimeout)
		defer late.Stop()
		select {
		case <-opened:
		case <-late.C:
			s.link.Close()
		case <-s.agentStop.Done():
			s.link.Close()
		}
	}()
	return s.conn.Open(ctx, hello)
}

// renew waits until the certificate is renewed, and then asks for a new session that uses it.
func (s *session) renew(ctx context.Context) error {
	if err := s.Renewer.Run(ctx, s.link); err != nil {
		return err
	}
	s.requestEnd(errRenewed)
	return nil
}

func (s *session) debugWelcome(ctx context.Context, welcome *gatewayv1.Welcome) {
	if s.Log.Enabled(ctx, slog.LevelDebug) {
		s.Log.DebugContext(ctx, "welcome received", "session", welcome.GetSessionId(), "heartbeatInterval", heartbeatInterval(welcome), "features", len(welcome.GetFeatures()))
	}
}

func heartbeatInterval(welcome *gatewayv1.Welcome) time.Duration {
	interval := welcome.GetHeartbeatInterval().AsDuration()
	if interval <= 0 {
		interval = defaultHeartbeat
	}
	return max(minHeartbeat, min(interval, maxHeartbeat))
}
