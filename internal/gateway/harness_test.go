package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	"github.com/mooring-dev/mooring/test/eventually"
)

// soon is shorter than the limits after which a gateway closes connections by itself.
const soon = eventually.Within(15 * time.Second)

var robot = identity.ID{TrustDomain: "mooring.test", Namespace: "fleet", Node: "robot"}

// machineNumber returns the identity of one of many machines.
func machineNumber(i int) identity.ID {
	return identity.ID{TrustDomain: robot.TrustDomain, Namespace: robot.Namespace, Node: fmt.Sprintf("robot-%d", i)}
}

// nodeService answers RegisterNode and records the callers.
type nodeService struct {
	gatewayv1.UnimplementedNodeServiceServer
	register func(context.Context) error
	callers  chan peer.Identity
}

func (n *nodeService) RegisterNode(ctx context.Context, _ *gatewayv1.RegisterNodeRequest) (*gatewayv1.RegisterNodeResponse, error) {
	if id, ok := peer.FromContext(ctx); ok && n.callers != nil {
		n.callers <- id
	}
	if n.register != nil {
		if err := n.register(ctx); err != nil {
			return nil, err
		}
	}
	return &gatewayv1.RegisterNodeResponse{}, nil
}

func (n *nodeService) StreamNodeEvents(stream gatewayv1.NodeService_StreamNodeEventsServer) error {
	if _, ok := peer.FromContext(stream.Context()); !ok {
		return errors.New("no caller")
	}
	_, err := stream.Recv()
	return err
}

// pairingService accepts every Begin.
type pairingService struct {
	gatewayv1.UnimplementedPairingServiceServer
}

func (pairingService) BeginPairingSession(context.Context, *gatewayv1.BeginPairingSessionRequest) (*gatewayv1.BeginPairingSessionResponse, error) {
	return &gatewayv1.BeginPairingSessionResponse{}, nil
}

// authorizer is a function that implements Authorizer.
type authorizer func(context.Context, peer.Identity) error

func (a authorizer) Authorize(ctx context.Context, id peer.Identity) error { return a(ctx, id) }

func (authorizer) Pinned(peer.Identity) bool { return true }

// testGateway is a gateway under test with its dependencies.
type testGateway struct {
	*Server
	serverCA, deviceCA *identitytest.Authority
	dir                string
	trust              *Trust
	node               *nodeService
	registry           *prometheus.Registry
	stop               func() error
}

func trustConfig(server, device string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap},
		Data:       map[string]string{v1alpha1.TrustServerCAKey: server, v1alpha1.TrustDeviceCAKey: device},
	}
}

// startGateway runs a gateway on loopback until the test ends.
func startGateway(t *testing.T, changes ...func(*testGateway, *Options)) *testGateway {
	t.Helper()
	r := prepareGateway(t, changes...)
	r.run(t)
	soon.True(t, "the gateway is ready", func() bool { return r.Check(nil) == nil })
	return r
}

// prepareGateway returns a gateway with trust and certificate that is not started.
func prepareGateway(t *testing.T, changes ...func(*testGateway, *Options)) *testGateway {
	t.Helper()
	r := &testGateway{
		serverCA: identitytest.NewAuthority(t, "server-ca"), deviceCA: identitytest.NewAuthority(t, "device-ca"),
		dir: t.TempDir(), node: &nodeService{}, registry: prometheus.NewRegistry(),
	}
	r.trust = NewTrust(logr.Discard())
	metrics, err := NewMetrics(r.registry)
	if err != nil {
		t.Fatal(err)
	}
	options := Options{
		TLSDir: r.dir, PairingAddress: "127.0.0.1:0", NodeAddress: "127.0.0.1:0", TrustDomain: robot.TrustDomain,
		Trust: r.trust, Limits: DefaultLimits(), Pairing: pairingService{}, Node: r.node,
		Authorizer: authorizer(func(context.Context, peer.Identity) error { return nil }),
		Clock:      clock.RealClock{}, Metrics: metrics, Log: testr.New(t),
	}
	r.serverCA.WriteServerCertificate(t, r.dir)
	r.trust.Update(trustConfig(r.serverCA.PEM(), r.deviceCA.PEM()))
	for _, change := range changes {
		change(r, &options)
	}
	r.Server = New(options)
	return r
}

func (r *testGateway) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Start(ctx) }()
	var ended bool
	r.stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("gateway ended with %v", err)
		}
	})
	soon.True(t, "the ports are bound", func() bool { p, _ := r.Addresses(); return p != nil })
}

func (r *testGateway) nodeAddress() string    { _, n := r.Addresses(); return n.String() }
func (r *testGateway) pairingAddress() string { p, _ := r.Addresses(); return p.String() }

// clientTLS returns a configuration that trusts the server CA and presents certs.
func (r *testGateway) clientTLS(certs ...tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(r.serverCA.Certificate)
	return &tls.Config{RootCAs: roots, ServerName: identity.ServerName, Certificates: certs, NextProtos: []string{"h2"}}
}

func dial(t *testing.T, address string, config *tls.Config) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// nodeClient returns a client of the node listener that presents certs.
func (r *testGateway) nodeClient(t *testing.T, certs ...tls.Certificate) gatewayv1.NodeServiceClient {
	t.Helper()
	return gatewayv1.NewNodeServiceClient(dial(t, r.nodeAddress(), r.clientTLS(certs...)))
}

func (r *testGateway) pairingClient(t *testing.T) gatewayv1.PairingServiceClient {
	t.Helper()
	return gatewayv1.NewPairingServiceClient(dial(t, r.pairingAddress(), r.clientTLS()))
}

// refusedCount returns the counter of a listener and reason.
func (r *testGateway) refusedCount(listener, reason string) float64 {
	var metric dto.Metric
	if err := r.options.Metrics.refused.WithLabelValues(listener, reason).Write(&metric); err != nil {
		return -1
	}
	return metric.GetCounter().GetValue()
}

// openConnections returns the gauge of open connections of a listener.
func (r *testGateway) openConnections(listener string) float64 {
	var metric dto.Metric
	if err := r.options.Metrics.connections.WithLabelValues(listener).Write(&metric); err != nil {
		return -1
	}
	return metric.GetGauge().GetValue()
}

// dialTLS opens a TLS connection.
func dialTLS(t *testing.T, address string, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*tls.Conn), nil
}
