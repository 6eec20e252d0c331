package gateway_test

import (
	"context"
	"crypto/rand"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/gateway"
	"github.com/mooring-dev/mooring/internal/gateway/certificates"
	"github.com/mooring-dev/mooring/internal/gateway/pairing"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/gateway/wakeup"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	"github.com/mooring-dev/mooring/test/eventually"
)

const (
	trustDomain = "mooring.test"
	// soon bounds the waits of this package.
	soon = eventually.Within(30 * time.Second)
)

// instance is one gateway process with the parts that pairing needs.
type instance struct {
	*gateway.Server
	serverCA, deviceCA *identitytest.Authority
	log                *logLines
	registry           *prometheus.Registry
	stop               func()
}

// settings are the options that a test may change before an instance starts.
type settings struct {
	pairing pairing.Options
	limits  gateway.Limits
	clock   clock.PassiveClock
	// The authorities stay the same over a restart.
	serverCA, deviceCA *identitytest.Authority
}

// rotation implements the calls of NodeService that request certificates, without sessions.
type rotation struct {
	gatewayv1.UnimplementedNodeServiceServer
	requester *certificates.Requester
}

func (r rotation) RotateDeviceCertificate(ctx context.Context, request *gatewayv1.RotateDeviceCertificateRequest) (*gatewayv1.RotateDeviceCertificateResponse, error) {
	id, _ := peer.FromContext(ctx)
	return r.requester.Rotate(ctx, id, request)
}

type allowAll struct{}

func (allowAll) Authorize(context.Context, peer.Identity) error { return nil }

func (allowAll) Pinned(peer.Identity) bool { return true }

// newGateway starts a gateway with the rights of its ServiceAccount until the test ends.
func newGateway(t *testing.T, changes ...func(*settings)) *instance {
	t.Helper()
	s := settings{
		limits: gateway.DefaultLimits(), clock: clock.RealClock{},
		pairing: pairing.Options{
			Namespace: v1alpha1.PairingNamespace, TrustDomain: trustDomain, NodeEndpoint: "gateway.test:7444",
			MaxPending: 1 << 20, Hold: 10 * time.Second, Rand: rand.Reader,
		},
	}
	// These tests come from one address. Other tests cover the limits of an address.
	s.limits.BeginBurst, s.limits.CallBurst = 1<<16, 1<<16
	for _, change := range changes {
		change(&s)
	}
	if s.serverCA == nil {
		s.serverCA, s.deviceCA = identitytest.NewAuthority(t, "server-ca"), identitytest.NewAuthority(t, "device-ca")
	}
	i := &instance{serverCA: s.serverCA, deviceCA: s.deviceCA, log: &logLines{}, registry: prometheus.NewRegistry()}
	i.run(t, s)
	return i
}

func (i *instance) run(t *testing.T, s settings) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, direct := gatewayClients(t)
	hubs := [2]*wakeup.Hub{wakeup.NewHub(), wakeup.NewHub()}
	for n, kind := range []client.Object{&v1alpha1.Node{}, &v1alpha1.PairingRequest{}, &corev1.Secret{}} {
		informer, err := reader.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			t.Fatal(err)
		}
		if n < len(hubs) {
			if _, err := informer.AddEventHandler(hubs[n]); err != nil {
				t.Fatal(err)
			}
		}
	}
	trust := gateway.NewTrust(logr.Discard())
	trust.Update(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.TrustConfigMap},
		Data:       map[string]string{v1alpha1.TrustServerCAKey: i.serverCA.PEM(), v1alpha1.TrustDeviceCAKey: i.deviceCA.PEM()},
	})
	cached := cachedClient{Client: direct, reader: reader}
	requester := certificates.New(certificates.Options{
		Client: cached, Nodes: hubs[0], Bundle: trust.Server, TrustDomain: trustDomain, Clock: s.clock, Log: i.log.logger(),
	})
	o := s.pairing
	o.Client, o.Live, o.Nodes, o.Requests, o.Certificates = cached, direct, hubs[0], hubs[1], requester
	o.Bundle, o.Device, o.Clock, o.Log = trust.Server, trust.Device, s.clock, i.log.logger()
	metrics, err := gateway.NewMetrics(i.registry)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	i.serverCA.WriteServerCertificate(t, dir)
	i.Server = gateway.New(gateway.Options{
		TLSDir: dir, PairingAddress: "127.0.0.1:0", NodeAddress: "127.0.0.1:0", TrustDomain: trustDomain, Trust: trust,
		Limits: s.limits, Pairing: pairing.New(o), Node: rotation{requester: requester}, Authorizer: allowAll{},
		Clock: s.clock, Metrics: metrics, Log: i.log.logger(),
	})
	var running sync.WaitGroup
	running.Go(func() { _ = reader.Start(ctx) })
	running.Go(func() {
		if err := i.Start(ctx); err != nil {
			t.Errorf("gateway: %v", err)
		}
	})
	i.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(i.stop)
	if !reader.WaitForCacheSync(ctx) {
		t.Fatal("the caches of the gateway did not sync")
	}
	soon.True(t, "the gateway is ready", func() bool { return i.Check(nil) == nil })
}

// gatewayClients returns a cache and a direct client with the rights of a gateway.
func gatewayClients(t *testing.T) (cache.Cache, client.Client) {
	t.Helper()
	config, err := shared.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, v1alpha1.GatewayServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	reader, err := cache.New(config, cache.Options{Scheme: controlplane.Scheme(), ByObject: map[client.Object]cache.ByObject{
		&corev1.Secret{}: {Namespaces: map[string]cache.Config{v1alpha1.PairingNamespace: {}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	direct, err := client.New(config, client.Options{Scheme: controlplane.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return reader, direct
}

// cachedClient reads from the cache and writes directly, as a manager's client does.
type cachedClient struct {
	client.Client
	reader cache.Cache
}

func (c cachedClient) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	return c.reader.Get(ctx, key, obj, opts...)
}

func (c cachedClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return c.reader.List(ctx, list, opts...)
}

// logLines records the log lines of a gateway.
type logLines struct {
	mu  sync.Mutex
	all []string
}

func (l *logLines) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, args)
	}, funcr.Options{})
}

func (l *logLines) snapshot() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.all...)
}
