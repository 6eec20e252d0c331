// Package fakegateway is a miniature gateway for the agent's own tests. It uses the real wire
// protocol over real TLS and the real gateway side of the SPAKE2 exchange; the tests choose its
// answers. It gives none of the guarantees of a gateway; those are tested with the real one.
package fakegateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// TrustDomain is the trust domain of every identity in this package.
const TrustDomain = "mooring.test"

// Gateway serves both listeners on loopback until the test ends.
type Gateway struct {
	// PairingEndpoint and NodeEndpoint are host:port.
	PairingEndpoint, NodeEndpoint string
	ServerCA, DeviceCA            *CA
	Pairing                       *Pairing
	Node                          *Node
	// Now returns the time at which the certificate of a call is checked; time.Now by default.
	// Handshakes use the real time.
	Now func() time.Time
}

// Start starts a gateway.
func Start(t testing.TB) *Gateway {
	t.Helper()
	g := &Gateway{ServerCA: NewCA(t, "server"), DeviceCA: NewCA(t, "device"), Now: time.Now}
	certificate := g.ServerCA.IssueServer(t)
	pool := x509.NewCertPool()
	pool.AddCert(g.DeviceCA.Certificate)
	g.Node = newNode(t, g)
	g.NodeEndpoint = serve(t, &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
	}, func(s *grpc.Server) { gatewayv1.RegisterNodeServiceServer(s, g.Node) })
	g.Pairing = newPairing(t, g)
	g.PairingEndpoint = serve(t, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
		func(s *grpc.Server) { gatewayv1.RegisterPairingServiceServer(s, g.Pairing) })
	return g
}

func serve(t testing.TB, config *tls.Config, register func(*grpc.Server)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(config)))
	register(server)
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		served.Wait()
	})
	return listener.Addr().String()
}

// connectionState returns the TLS state of a call and its exporter.
func connectionState(ctx context.Context) (state tls.ConnectionState, exporter []byte, err error) {
	p, _ := peer.FromContext(ctx)
	state = p.AuthInfo.(credentials.TLSInfo).State
	exporter, err = state.ExportKeyingMaterial(pairing.ExporterLabel, nil, pairing.ExporterLength)
	return state, exporter, err
}

// ID returns the identity of a node in namespace fleet.
func ID(node string) identity.ID {
	return identity.ID{TrustDomain: TrustDomain, Namespace: "fleet", Node: node}
}
