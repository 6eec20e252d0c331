package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/link"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// Service implements NodeService and is a runnable of the manager.
type Service struct {
	gatewayv1.UnimplementedNodeServiceServer
	Options

	registry       *registry
	watchLag       *watchLag
	lease          *lease
	mailbox        Mailbox
	tables         dispatchtable.Settings
	metrics        *metrics
	nodeWrites     *rate.Limiter
	registrations  *registrations
	allowances     *allowances
	liveReads      liveReads
	polls          *link.Polls
	schemaCache    *schemaCache
	schemaVerdicts *nodestatus.SchemaVerdicts
	reviewCache    *reviewCache

	// abandonEnds is closed when waits for unrecorded ends must be abandoned.
	abandonEnds chan struct{}
	// drained is closed when Start has finished all sessions.
	drained chan struct{}

	mu     sync.Mutex
	synced bool
}

// New returns a Service. It opens sessions once Start has synced its watches.
func New(options Options) *Service {
	options.setDefaults()
	s := &Service{
		Options:        options,
		registry:       newRegistry(),
		watchLag:       newWatchLag(options.Clock),
		nodeWrites:     rate.NewLimiter(rate.Limit(options.NodeWritesPerSecond), int(max(options.NodeWritesPerSecond, 1))),
		registrations:  newRegistrations(options.Clock),
		liveReads:      newLiveReads(options.Clock),
		polls:          link.NewPolls(),
		schemaCache:    newSchemaCache(),
		schemaVerdicts: nodestatus.NewSchemaVerdicts(),
		reviewCache:    newReviewCache(options.Clock),
		abandonEnds:    make(chan struct{}),
		drained:        make(chan struct{}),
	}
	s.allowances = newAllowances(options.Clock, func(key types.NamespacedName) bool { return s.registry.get(key) != nil })
	s.lease = &lease{service: s}
	s.metrics = newMetrics(options.Registerer,
		func() float64 { return float64(s.registry.count()) },
		func() float64 { return s.lag().Seconds() })
	s.mailbox = &mailbox.Objects{
		Client: options.Client, Reader: options.Reader, Time: options.Time, Clock: options.Clock,
		OnWrite:    s.handleWrite,
		OnConflict: s.handleConflict,
	}
	s.tables = dispatchtable.Settings{
		Gateway: options.Gateway, DispatchedDelay: options.DispatchedDelay, MaxQueued: options.MaxQueued,
		ReportGrace: options.ReportGrace, ReviewAfter: options.ReviewAfter,
		OffersBlocked: s.Check, CheckInput: s.schemaCache.checkInput, Observer: s.metrics, Log: options.Log,
	}
	return s
}

// NeedLeaderElection returns false, because every replica serves the Nodes it holds.
func (s *Service) NeedLeaderElection() bool { return false }

// Start renews the Lease and passes events to the sessions until ctx ends. Then it drains the
// sessions, and returns when none of its goroutines runs any more.
func (s *Service) Start(ctx context.Context) error {
	defer close(s.drained)
	var background sync.WaitGroup
	// The Lease stays until the end of the last session is recorded.
	leaseCtx, endLease := context.WithCancel(context.WithoutCancel(ctx))
	defer background.Wait()
	defer endLease()
	background.Go(func() { s.lease.run(leaseCtx) })
	if err := s.watch(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.setSynced()
	s.refresh(ctx)
	s.drain()
	return nil
}

// Drain waits until Start has finished every session, or until ctx ends. The context of Start must
// have ended. The listeners call Drain before they stop.
func (s *Service) Drain(ctx context.Context) {
	select {
	case <-s.drained:
	case <-ctx.Done():
	}
}

func (s *Service) setSynced() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced = true
}

// Check returns nil while this gateway may open sessions and offer dispatches. It can serve as a
// readiness probe.
func (s *Service) Check() error {
	if err := s.checkWatches(); err != nil {
		return err
	}
	return s.Gate.Check()
}

// checkWatches returns nil while the watches and the Lease of this gateway are up to date.
func (s *Service) checkWatches() error {
	s.mu.Lock()
	synced := s.synced
	s.mu.Unlock()
	if !synced {
		return errors.New("the watches of Nodes and dispatches have not synced yet")
	}
	if err := s.lease.check(); err != nil {
		return err
	}
	if s.lag() > s.StaleAfter {
		return s.watchLag.check(s.StaleAfter)
	}
	return nil
}

// lag returns the lag of the Node watch, and 0 while this process holds no Node.
func (s *Service) lag() time.Duration {
	if s.registry.count() == 0 {
		return 0
	}
	return s.watchLag.lag()
}

// RegisterNode validates the description of the machine and keeps it for the next Hello. One write
// then records the description and the session.
func (s *Service) RegisterNode(ctx context.Context, request *gatewayv1.RegisterNodeRequest) (*gatewayv1.RegisterNodeResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	d, err := nodestatus.NewDescription(request, s.schemaVerdicts, s.allowances.forNode(keyOf(id)).schemaBudget(s.Clock.Now()))
	if err != nil {
		return nil, registrationError(err)
	}
	node := &v1alpha1.Node{}
	if err := s.Cache.Get(ctx, keyOf(id), node); err != nil {
		// A new Node may not be in the cache yet.
		if node, err = s.getAuthorizedNode(ctx, id); err != nil {
			return nil, err
		}
	}
	s.registrations.put(keyOf(id), id.PublicKeySHA256, d)
	response := &gatewayv1.RegisterNodeResponse{}
	for _, c := range d.Declared {
		if dispatch.Granted(node.Spec.CapabilityPolicy, c.Name) {
			response.GrantedCapabilities = append(response.GrantedCapabilities, c.Name)
		} else {
			response.WithheldCapabilities = append(response.WithheldCapabilities, c.Name)
		}
	}
	return response, nil
}

// registrationError returns the gRPC status of a description that is refused.
func registrationError(err error) error {
	if errors.Is(err, nodestatus.ErrTooManySchemas) {
		return denial.New(codes.ResourceExhausted, gatewayv1.ReasonRateLimited, err.Error())
	}
	return denial.New(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, err.Error())
}

// RotateDeviceCertificate renews the certificate or rotates the key; see Certificates.
func (s *Service) RotateDeviceCertificate(ctx context.Context, request *gatewayv1.RotateDeviceCertificateRequest) (*gatewayv1.RotateDeviceCertificateResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	return s.Certificates.Rotate(ctx, id, request)
}

// caller returns the identity of the calling machine. A missing identity is a bug in the
// interceptors, not in the machine.
func caller(ctx context.Context) (peer.Identity, error) {
	id, ok := peer.FromContext(ctx)
	if !ok {
		return peer.Identity{}, errors.New("call without an identity reached NodeService")
	}
	return id, nil
}
