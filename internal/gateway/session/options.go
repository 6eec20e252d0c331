package session

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Certificates answers requests for device certificates. Its errors are gRPC statuses or
// errors of the inside.
type Certificates interface {
	Rotate(ctx context.Context, id peer.Identity, request *gatewayv1.RotateDeviceCertificateRequest) (*gatewayv1.RotateDeviceCertificateResponse, error)
}

// Gate says whether the admission policies are proven.
type Gate interface {
	// Check is nil while sessions may open and dispatches may be offered.
	Check() error
}

// Time is the API server's time (package apitime).
type Time interface {
	clock.PassiveClock
	// Latest is a time the API server's clock has not reached yet.
	Latest() time.Time
}

// Options of a Service. Fields without a default are required.
type Options struct {
	// Client writes; nothing is read through it.
	Client client.Client
	// Reader reads live, past every cache.
	Reader client.Reader
	// Cache holds Nodes and unfinished dispatches: build it with CacheByObject.
	Cache cache.Cache
	// Gate stops new sessions and offers while the policies are unproven.
	Gate Gate
	// Certificates serves RotateDeviceCertificate.
	Certificates Certificates
	// Bundle is the current CA bundle of the gateways.
	Bundle func() identity.Bundle
	// Gateway names this process: pod name and random id, at most 200 characters. Its Lease
	// is LeaseName(Gateway).
	Gateway string
	// SystemNamespace holds the Lease. Default mooring-system.
	SystemNamespace string

	// Time stamps what is stored.
	Time Time
	// Clock runs the timers. Default the real one.
	Clock clock.WithTicker
	Log   logr.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer

	// DispatchedDelay is how long a result is waited for before Dispatched is written. Default 200 ms.
	DispatchedDelay time.Duration
	// MaxQueued bounds the dispatches that wait for one Node. Default 1000.
	MaxQueued int
	// LeaseDuration is how long the Lease vouches for this process. Default 15 s.
	LeaseDuration time.Duration
	// HeartbeatInterval is asked of the machines; three missed ones end a session. Default 20 s.
	HeartbeatInterval time.Duration
	// MaxAge bounds a session; the true bound is drawn between half of it and all. Default 24 h.
	MaxAge time.Duration
	// DrainGrace is how long machines get at shutdown to leave by themselves. Default 5 s.
	DrainGrace time.Duration
	// NodeWritesPerSecond bounds the writes to Node.status of this process. Default 50.
	NodeWritesPerSecond float64
	// RefreshesPerSecond bounds the writes of lastHeartbeatTime of this process. Default 0.5.
	RefreshesPerSecond float64
	// ReportGrace is how long past its run time a connected machine may take to report. Default 30 s.
	ReportGrace time.Duration
	// ReviewAfter is how long a dispatch may have waited before the requester's right is looked at
	// again with each step. Default 1 min.
	ReviewAfter time.Duration
	// StaleAfter is how old the Node watch may be before sessions and offers stop; sessions
	// close at five times that. Default 60 s.
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

// CacheByObject is what the cache of a gateway must look like: all Nodes, the unfinished
// dispatches only, both without what is never read (managedFields weigh more than the rest).
func CacheByObject() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.Node{}:               {Transform: slimNode()},
		&v1alpha1.CapabilityDispatch{}: {Field: unfinished(), Transform: cache.TransformStripManagedFields()},
	}
}

// unfinished selects dispatches whose phase is not terminal.
func unfinished() fields.Selector {
	var all []fields.Selector
	for _, phase := range dispatch.TerminalPhases() {
		all = append(all, fields.OneTermNotEqualSelector("status.phase", string(phase)))
	}
	return fields.AndSelectors(all...)
}
