package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// stopGrace bounds the time that open calls have to end after Drain. The server then cuts them off.
const stopGrace = 5 * time.Second

// Options configures a Server. All fields are required except Drain and DrainTimeout.
type Options struct {
	// TLSDir is --tls-dir.
	TLSDir string
	// PairingAddress and NodeAddress are the addresses to listen on, as host:port.
	PairingAddress, NodeAddress string
	// TrustDomain is the trust domain of every identity.
	TrustDomain string
	Trust       *Trust
	Limits      Limits

	Pairing    gatewayv1.PairingServiceServer
	Node       gatewayv1.NodeServiceServer
	Authorizer Authorizer
	// Drain asks the machines to connect to another gateway. It returns when the ends of their
	// sessions are recorded, or when ctx ends. The Server calls it once, before the listeners stop.
	Drain func(ctx context.Context)
	// DrainTimeout bounds Drain; the default is 10 s.
	DrainTimeout time.Duration

	Clock   clock.PassiveClock
	Metrics *Metrics
	Log     logr.Logger

	bounds allBounds // the zero value means defaultBounds
}

// Server runs the two listeners. It is a manager.Runnable of every replica.
type Server struct {
	options     Options
	certificate *serverChains
	connLimiter *connLimiter
	pairing     *grpc.Server
	node        *grpc.Server
	refusals    struct{ pairing, node *refusalReporter }
	serving     atomic.Bool
	addresses   atomic.Pointer[addresses]
	budget      atomic.Pointer[receiveBudget] // of the pairing listener
}

type addresses struct{ pairing, node net.Addr }

// New returns a Server. It listens once Start is called.
func New(options Options) *Server {
	if options.DrainTimeout == 0 {
		options.DrainTimeout = 10 * time.Second
	}
	if options.bounds == (allBounds{}) {
		options.bounds = defaultBounds(options.Limits)
	}
	s := &Server{options: options}
	b := options.bounds
	s.refusals.pairing = newRefusalReporter(pairingListener, options.Metrics, options.Log)
	s.refusals.node = newRefusalReporter(nodeListener, options.Metrics, options.Log)
	s.certificate = newServerChains(options.TLSDir, options.Trust, options.Clock, options.Log)
	g := &guard{callTimeout: b.pairing.call, authorizer: options.Authorizer, clock: options.Clock, metrics: options.Metrics, log: options.Log}
	interceptors := []grpc.ServerOption{grpc.UnaryInterceptor(g.unary), grpc.StreamInterceptor(g.stream)}

	limiter := newCallLimiter(options.Limits, options.Clock, options.Metrics)
	s.pairing = grpc.NewServer(append(append(pairingOptions(b.pairing), interceptors...),
		grpc.Creds(newTransport(s.certificate.get, nil, nil, s.refusals.pairing)),
		grpc.InTapHandle(limiter.tap))...)
	gatewayv1.RegisterPairingServiceServer(s.pairing, options.Pairing)

	verify := peerVerifier(options.Trust, options.TrustDomain, options.Clock.Now)
	nodes := newNodeLimiter(options.Clock, options.Metrics)
	s.connLimiter = newConnLimiter(options.Limits.ConnectionsPerNode, func() { options.Metrics.countRefused(nodeListener, reasonTooManyOfOneNode) })
	gate := &nodeGate{authorizer: options.Authorizer, limiter: nodes, connLimiter: s.connLimiter}
	s.node = grpc.NewServer(append(append(nodeOptions(b.node), interceptors...),
		grpc.Creds(newTransport(s.certificate.get, verify, gate, s.refusals.node)),
		grpc.InTapHandle(nodes.tap))...)
	gatewayv1.RegisterNodeServiceServer(s.node, options.Node)
	return s
}

// NeedLeaderElection returns false: every replica serves.
func (s *Server) NeedLeaderElection() bool { return false }

// Check is a readiness check. It returns nil while both listeners serve with a valid certificate
// and known trust bundles. Otherwise the error names the missing part.
func (s *Server) Check(*http.Request) error {
	if err := errors.Join(s.options.Trust.Check(), s.certificate.check()); err != nil {
		return err
	}
	if !s.serving.Load() {
		return errors.New("the listeners are not serving yet")
	}
	return nil
}

// Addresses returns the addresses that the listeners are bound to, for a configured port of 0. It
// returns nil before they are bound.
func (s *Server) Addresses() (pairing, node net.Addr) {
	if bound := s.addresses.Load(); bound != nil {
		return bound.pairing, bound.node
	}
	return nil, nil
}

// Start binds both ports at once, so that a port in use ends the process with a clear error. It
// serves as soon as trust and certificate are loaded. When ctx ends, it drains and stops. It
// returns when all of its goroutines have ended.
func (s *Server) Start(ctx context.Context) error {
	pairing, node, err := s.bind(ctx)
	if err != nil {
		return err
	}
	defer pairing.Close()
	defer node.Close()
	refreshing, stopRefreshing := context.WithCancel(context.WithoutCancel(ctx))
	var background errgroup.Group
	defer func() {
		stopRefreshing()
		_ = background.Wait()
	}()
	loaded := make(chan struct{})
	background.Go(func() error {
		s.certificate.run(refreshing, loaded)
		return nil
	})
	select {
	case <-ctx.Done():
		return nil
	case <-loaded:
	}
	return s.serve(ctx, pairing, node)
}

func (s *Server) bind(ctx context.Context) (limitedPairing, limitedNode *limitedListener, err error) {
	o := s.options
	pairing, err := listen(ctx, "--pairing-bind-address", o.PairingAddress)
	if err != nil {
		return nil, nil, fmt.Errorf("open pairing listener: %w", err)
	}
	node, err := listen(ctx, "--node-bind-address", o.NodeAddress)
	if err != nil {
		pairing.Close()
		return nil, nil, fmt.Errorf("open node listener: %w", err)
	}
	s.addresses.Store(&addresses{pairing: pairing.Addr(), node: node.Addr()})
	l := o.Limits
	return newLimitedListener(pairing, pairingListener, newConnSlots(l.PairingConnections, l.TotalPairingConnections, l.TotalPairingConnections/4),
			o.bounds.pairing, s.refusals.pairing, o.Metrics),
		newLimitedListener(node, nodeListener, newConnSlots(l.NodeConnections, l.TotalNodeConnections, 0),
			o.bounds.node, s.refusals.node, o.Metrics), nil
}

// serve runs both servers until ctx ends or one of them fails.
func (s *Server) serve(ctx context.Context, pairing, node *limitedListener) error {
	s.budget.Store(pairing.budget)
	pairing.run()
	node.run()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return wrapServeError(pairingListener, s.pairing.Serve(pairing)) })
	group.Go(func() error { return wrapServeError(nodeListener, s.node.Serve(node)) })
	s.serving.Store(true)
	s.options.Log.Info("listening", "pairing", pairing.Addr().String(), "node", node.Addr().String())
	group.Go(func() error {
		<-ctx.Done()
		s.stop(context.WithoutCancel(ctx))
		return nil
	})
	return group.Wait()
}

func wrapServeError(listener string, err error) error {
	if err == nil || errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return fmt.Errorf("serve on the %s listener: %w", listener, err)
}

// stop drains the sessions first, then stops both servers. It cuts off the calls that are still
// open after stopGrace.
func (s *Server) stop(ctx context.Context) {
	s.serving.Store(false)
	if s.options.Drain != nil {
		drain, cancel := context.WithTimeout(ctx, s.options.DrainTimeout)
		s.options.Drain(drain)
		cancel()
	}
	var group errgroup.Group
	for _, server := range []*grpc.Server{s.pairing, s.node} {
		group.Go(func() error {
			timer := time.AfterFunc(stopGrace, server.Stop)
			defer timer.Stop()
			server.GracefulStop()
			return nil
		})
	}
	_ = group.Wait()
	s.options.Log.Info("stopped listening")
}
