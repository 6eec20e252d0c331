package session

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Certificates handles requests for device certificates. Its errors are gRPC statuses or internal
// errors.
type Certificates interface {
	Rotate(ctx context.Context, id peer.Identity, request *gatewayv1.RotateDeviceCertificateRequest) (*gatewayv1.RotateDeviceCertificateResponse, error)
}

// Gate reports whether the admission policies are proven.
type Gate interface {
	// Check returns nil while sessions may open and dispatches may be offered.
	Check() error
}

// Time is the API server's time (package apitime).
type Time interface {
	clock.PassiveClock
	// Latest returns a time that the API server's clock has not reached yet.
	Latest() time.Time
}

// Options holds the options of a Service. Fields without a default are required.
type Options struct {
	// Client is used for writes only.
	Client client.Client
	// Reader reads live, without any cache.
	Reader client.Reader
	// Cache holds Nodes and unfinished dispatches: build it with CacheByObject.
	Cache cache.Cache
	// Gate stops new sessions and offers while the policies are unproven.
	Gate Gate
	// Certificates serves RotateDeviceCertificate.
	Certificates Certificates
	// Bundle is the current CA bundle of the gateways.
	Bundle func() identity.Bundle
	// Gateway is the name of this process: pod name and random id, at most 200 characters. Its
	// Lease is LeaseName(Gateway).
	Gateway string
	// SystemNamespace is the namespace of the Lease. Default mooring-system.
	SystemNamespace string

	// Time provides the times in stored objects.
	Time Time
	// Clock runs the timers. Default the real clock.
	Clock clock.WithTicker
	Log   logr.Logger
	// Registerer registers the metrics; nil for none.
	Registerer prometheus.Registerer

	// DispatchedDelay is the time after an offer before Dispatched is written, if no result
	// arrives first. Default 200 ms.
	DispatchedDelay time.Duration
	// MaxQueued bounds the dispatches that wait for one Node. Default 1000.
	MaxQueued int
	// LeaseDuration is the time after which the Lease expires if it is not renewed. Default 15 s.
	LeaseDuration time.Duration
	// HeartbeatInterval is the interval between the heartbeats of a machine. Three missed
	// heartbeats end a session. Default 20 s.
	HeartbeatInterval time.Duration
	// MaxAge bounds the age of a session. The actual bound is random, between half of MaxAge and
	// MaxAge. Default 24 h.
	MaxAge time.Duration
	// DrainGrace is the time in which machines may disconnect by themselves at shutdown. Default 5 s.
	DrainGrace time.Duration
	// NodeWritesPerSecond bounds the writes to Node.status of this process. Default 50.
	NodeWritesPerSecond float64
	// RefreshesPerSecond bounds the writes of lastHeartbeatTime of this process. Default 0.5.
	RefreshesPerSecond float64
	// ReportGrace is the time after the run time in which a connected machine must report the
	// result. Default 30 s.
	ReportGrace time.Duration
	// ReviewAfter is the age of a dispatch from which each step reviews the requester's right
	// again. Default 1 min.
	ReviewAfter time.Duration
	// StaleAfter is the lag of the Node watch from which no sessions open and no offers are made.
	// Sessions close at five times that lag. Default 60 s.
	StaleAfter time.Duration
}

func (o *Options) setDefaults() {
	if o.SystemNamespace == "" {
		o.SystemNamespace = v1alpha1.SystemNamespace
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	setDefault(&o.DispatchedDelay, 200*time.Millisecond)
	setDefault(&o.MaxQueued, 1000)
	setDefault(&o.LeaseDuration, 15*time.Second)
	setDefault(&o.HeartbeatInterval, 20*time.Second)
	setDefault(&o.MaxAge, 24*time.Hour)
	setDefault(&o.DrainGrace, 5*time.Second)
	setDefault(&o.ReportGrace, 30*time.Second)
	setDefault(&o.NodeWritesPerSecond, 50)
	setDefault(&o.RefreshesPerSecond, 0.5)
	setDefault(&o.ReviewAfter, time.Minute)
	setDefault(&o.StaleAfter, 60*time.Second)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// CacheByObject returns the options that the cache of a gateway needs. The cache holds all Nodes
// and the unfinished dispatches, both without fields that are never read. managedFields are larger
// than all other fields together.
func CacheByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.Node{}:               {Transform: nodestatus.TrimNode()},
		&v1alpha1.CapabilityDispatch{}: {Field: mailbox.UnfinishedSelector(), Transform: cache.TransformStripManagedFields()},
	}
}
