// Package pairing serves machines that have no identity yet. A code is a Secret in the pairing
// namespace. Its tries and its consumption change by compare-and-swap. Any number of replicas,
// restarts and concurrent machines therefore share three tries and one winner.
//
// The package does not decide which machines are accepted. A finished exchange creates a
// PairingRequest for a person, and the controller checks everything in it again.
package pairing

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/certificates"
	"github.com/mooring-dev/mooring/internal/gateway/wakeup"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/serviceaccount"
)

// Certificates obtains a certificate for a machine whose proof has been checked.
type Certificates interface {
	Obtain(ctx context.Context, request certificates.Request) ([][]byte, error)
}

// Options configures a Service. All fields are required unless they have a default.
type Options struct {
	// Client reads PairingRequests, Nodes and records from the cache, and writes.
	Client client.Client
	// Live reads without the cache: records before a compare-and-swap, PairingCodes.
	Live client.Reader
	// Requests and Nodes receive the events of the informers of these kinds.
	Requests, Nodes *wakeup.Hub
	Certificates    Certificates
	// Bundle returns the server bundle that machines receive. Device returns the bundle of the CAs
	// that sign machines.
	Bundle, Device func() identity.Bundle
	// Namespace holds the records.
	Namespace string
	// SystemNamespace holds the rules for ServiceAccounts; the default is mooring-system.
	SystemNamespace string
	// Audience is the audience that tokens of in-cluster agents must have; the default is mooring.
	Audience string
	// TrustDomain is the trust domain of every identity.
	TrustDomain string
	// NodeEndpoint is the address of the node listener as machines reach it, as host:port, or
	// several addresses separated by commas.
	NodeEndpoint string
	// MaxPending bounds the undecided PairingRequests of the cluster; a fleet may hold as many
	// of them as are free.
	MaxPending int
	// Registerer registers the metrics; nil for none.
	Registerer prometheus.Registerer
	// BeginsPerSecond bounds the exchanges begun from all addresses together; three times as many
	// may come at once. The default is 100. In-cluster agents have a separate limit of the same
	// size. Addresses that have begun little have an additional share.
	BeginsPerSecond int
	// Hold is how long a poll waits for a change; the default is 25 s.
	Hold time.Duration
	// Clock gives the time of the apiserver.
	Clock clock.PassiveClock
	// Rand is crypto/rand.Reader.
	Rand io.Reader
	Log  logr.Logger
}

// defaultHold leaves time for the answer in a call of 30 s.
const defaultHold = 25 * time.Second

// Service implements gatewayv1.PairingServiceServer.
type Service struct {
	gatewayv1.UnimplementedPairingServiceServer
	options         Options
	records         records
	exchanges       *exchangeTable
	exchangeLimiter *globalLimiter // exchanges
	tokenLimiter    *globalLimiter // tokens of in-cluster agents
	failures        *failureTracker
	lookupLimiter   *rate.Limiter
	refused         *prometheus.CounterVec
}

// New returns a Service.
func New(options Options) *Service {
	if options.Hold == 0 {
		options.Hold = defaultHold
	}
	if options.BeginsPerSecond == 0 {
		options.BeginsPerSecond = defaultBegins
	}
	options.SystemNamespace = cmp.Or(options.SystemNamespace, v1alpha1.SystemNamespace)
	options.Audience = cmp.Or(options.Audience, serviceaccount.DefaultAudience)
	return &Service{
		options:         options,
		records:         records{live: options.Live, write: options.Client, namespace: options.Namespace},
		exchanges:       newExchangeTable(options.Clock),
		exchangeLimiter: newGlobalLimiter(options.Clock, options.BeginsPerSecond),
		tokenLimiter:    newGlobalLimiter(options.Clock, options.BeginsPerSecond),
		failures:        newFailureTracker(options.Clock),
		lookupLimiter:   rate.NewLimiter(lookupsPerSecond, lookupBurst),
		refused:         newRefusedCounter(options.Registerer),
	}
}
