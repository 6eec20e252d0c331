package session_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/apitime"
	"github.com/mooring-dev/mooring/internal/gateway"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	"github.com/mooring-dev/mooring/test/eventually"
)

const trustDomain = "mooring.test"

// replica is a gateway with its own credentials, cache and listeners that runs inside the test
// process.
type replica struct {
	name    string
	service *session.Service
	address string
	gate    *gate
	api     *apiSpy
	stop    func()
}

// authorities are the two CAs of a test.
type authorities struct{ server, device *identitytest.Authority }

func newAuthorities(t *testing.T) authorities {
	return authorities{identitytest.NewAuthority(t, "test server CA"), identitytest.NewAuthority(t, "test device CA")}
}

// startReplica runs a gateway until the test ends or stop is called.
func startReplica(t *testing.T, ca authorities, change func(*session.Options)) *replica {
	t.Helper()
	config, err := shared.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, v1alpha1.GatewayServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	r := &replica{name: "test-" + uuid.NewString(), gate: &gate{}, api: &apiSpy{}}
	now := apitime.New(clock.RealClock{})
	now.Wrap(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { r.api.next = next; return r.api })
	trust := gateway.NewTrust(logr.Discard())
	trust.Update(&corev1.ConfigMap{Data: map[string]string{
		v1alpha1.TrustServerCAKey: ca.server.PEM(), v1alpha1.TrustDeviceCAKey: ca.device.PEM()}})
	nodeCache := newCache(t, config)
	writer := shared.ClientFor(t, config)
	options := session.Options{
		Client: writer, Reader: writer, Cache: nodeCache, Gate: r.gate, Bundle: trust.Server,
		Gateway: r.name, Time: now, Log: testLog(t), DispatchedDelay: 10 * time.Minute, DrainGrace: time.Second,
	}
	if change != nil {
		change(&options)
	}
	r.service = session.New(options)
	r.start(t, nodeCache, r.newServer(t, ca, trust))
	return r
}

func newCache(t *testing.T, config *rest.Config) cache.Cache {
	t.Helper()
	nodeCache, err := cache.New(config, cache.Options{Scheme: controlplane.Scheme(), ByObject: session.CacheByObject()})
	if err != nil {
		t.Fatal(err)
	}
	return nodeCache
}

// newServer returns a server with the real listeners of the service.
func (r *replica) newServer(t *testing.T, ca authorities, trust *gateway.Trust) *gateway.Server {
	t.Helper()
	dir := t.TempDir()
	ca.server.WriteServerCertificate(t, dir)
	metrics, err := gateway.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return gateway.New(gateway.Options{
		TLSDir: dir, PairingAddress: "127.0.0.1:0", NodeAddress: "127.0.0.1:0", TrustDomain: trustDomain, Trust: trust,
		Limits: gateway.DefaultLimits(), Pairing: gatewayv1.UnimplementedPairingServiceServer{}, Node: r.service,
		Authorizer: r.service, Drain: r.service.Drain, Clock: clock.RealClock{}, Metrics: metrics, Log: testLog(t),
	})
}

// start starts the parts of the gateway like the manager and waits until the gateway is ready.
func (r *replica) start(t *testing.T, nodeCache cache.Cache, server *gateway.Server) {
	t.Helper()
	caches, stopCaches := context.WithCancel(context.Background())
	others, stopOthers := context.WithCancel(context.Background())
	var group, cacheGroup sync.WaitGroup
	start := func(group *sync.WaitGroup, ctx context.Context, f func(context.Context) error) {
		group.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("a part of the gateway failed: %v", err)
			}
		})
	}
	start(&cacheGroup, caches, nodeCache.Start)
	start(&group, others, r.service.Start)
	start(&group, others, server.Start)
	r.stop = sync.OnceFunc(func() {
		stopOthers()
		group.Wait()
		stopCaches()
		cacheGroup.Wait()
	})
	t.Cleanup(r.stop)
	eventually.True(t, "the gateway is ready", func() bool { return r.service.Check() == nil && server.Check(nil) == nil })
	_, node := server.Addresses()
	r.address = node.String()
}

// gate is a session.Gate that a test opens and closes.
type gate struct{ closed atomic.Bool }

var errUnproven = errors.New("the admission policies are not proven")

func (g *gate) Check() error {
	if g.closed.Load() {
		return errUnproven
	}
	return nil
}

// apiSpy intercepts every request of one gateway to the API server.
type apiSpy struct {
	next   http.RoundTripper
	writes atomic.Int64 // writes to dispatches
	// nodeReads and nodeWrites count the live reads of Nodes and the writes to them.
	nodeReads, nodeWrites atomic.Int64
	// before is called once before the next write to a dispatch.
	before atomic.Pointer[func()]
	// loseNodeWrite makes the spy drop the response to the next write to the status of a Node.
	loseNodeWrite atomic.Bool
	// failLeases makes the spy fail the writes of Leases.
	failLeases atomic.Bool
	// watch blocks the watch of Nodes while a test holds the lock.
	watch sync.RWMutex
}

var (
	errLost         = errors.New("the answer was lost")
	errLeaseBlocked = errors.New("the Lease is held up")
)

func (s *apiSpy) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && strings.Contains(request.URL.Path, "/capabilitydispatches/") {
		if hook := s.before.Swap(nil); hook != nil {
			(*hook)()
		}
		s.writes.Add(1)
	}
	if strings.Contains(request.URL.Path, "/leases/") && s.failLeases.Load() {
		return nil, errLeaseBlocked
	}
	if strings.Contains(request.URL.Path, "/nodes/") {
		if request.Method == http.MethodGet {
			s.nodeReads.Add(1)
		} else {
			s.nodeWrites.Add(1)
		}
	}
	response, err := s.next.RoundTrip(request)
	if err == nil && strings.HasSuffix(request.URL.Path, "/nodes") && request.URL.Query().Has("watch") {
		response.Body = watchBody{response.Body, s}
	}
	nodeStatus := request.Method == http.MethodPatch && strings.Contains(request.URL.Path, "/nodes/")
	if err == nil && nodeStatus && s.loseNodeWrite.CompareAndSwap(true, false) {
		response.Body.Close()
		return nil, errLost
	}
	return response, err
}

// watchBody delivers no data while watch of the spy is locked.
type watchBody struct {
	io.ReadCloser
	spy *apiSpy
}

func (b watchBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.spy.watch.RLock()
	defer b.spy.watch.RUnlock()
	return n, err
}

func (s *apiSpy) beforeNextWrite(hook func()) { s.before.Store(&hook) }

// testLog returns a logger that writes the log of a gateway to the log of its test.
func testLog(t *testing.T) logr.Logger {
	var ended atomic.Bool
	t.Cleanup(func() { ended.Store(true) })
	return funcr.New(func(prefix, args string) {
		if !ended.Load() {
			t.Log(prefix, args)
		}
	}, funcr.Options{})
}
