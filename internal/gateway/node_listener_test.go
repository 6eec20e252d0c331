package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

func TestTheNodeListenerRefusesWrongCertificates(t *testing.T) {
	r := startGateway(t)
	foreign := identity.ID{TrustDomain: "elsewhere.test", Namespace: "fleet", Node: "robot"}
	for _, test := range []struct {
		name   string
		cert   tls.Certificate
		reason string
	}{
		{"of another CA with the same subject", identitytest.NewAuthority(t, "device-ca").IssueDeviceTLS(t, robot), identity.ReasonUntrusted},
		{"of the server CA", r.serverCA.IssueDeviceTLS(t, robot), identity.ReasonUntrusted},
		{"expired", r.deviceCA.IssueDeviceTLS(t, robot, identitytest.ValidUntil(-time.Minute)), identity.ReasonExpired},
		{"beginning in 11 minutes", r.deviceCA.IssueDeviceTLS(t, robot, identitytest.ValidFrom(11*time.Minute)), identity.ReasonNotYetValid},
		{"for servers only", r.deviceCA.IssueDeviceTLS(t, robot, identitytest.WithUsages(x509.ExtKeyUsageServerAuth)), identity.ReasonWrongUsage},
		{"for no usage at all", r.deviceCA.IssueDeviceTLS(t, robot, identitytest.WithUsages()), identity.ReasonWrongUsage},
		{"of another trust domain", r.deviceCA.IssueDeviceTLS(t, foreign), identity.ReasonForeignTrustDomain},
		{"with two URIs", r.deviceCA.IssueDeviceTLS(t, robot, identitytest.WithURI("spiffe://mooring.test/ns/fleet/node/other")), identity.ReasonUnexpectedName},
		{"with a DNS name besides", r.deviceCA.IssueDeviceTLS(t, robot, identitytest.WithDNSName(identity.ServerName)), identity.ReasonUnexpectedName},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := r.refusedCount(nodeListener, test.reason)
			_, err := r.nodeClient(t, test.cert).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{})
			if status.Code(err) != codes.Unavailable {
				t.Errorf("first call: got %v, want the connection refused", err)
			}
			soon.True(t, "the refusal is counted as "+test.reason, func() bool { return r.refusedCount(nodeListener, test.reason) > before })
		})
	}
}

func TestTheNodeListenerRefusesAClientWithoutCertificate(t *testing.T) {
	r := startGateway(t)
	_, err := r.nodeClient(t).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("first call: got %v, want the connection refused", err)
	}
	soon.True(t, "the refusal is counted", func() bool { return r.refusedCount(nodeListener, "NoCertificate") > 0 })
}

func TestTheNodeListenerKnowsItsCaller(t *testing.T) {
	r := startGateway(t, func(r *testGateway, _ *Options) { r.node.callers = make(chan peer.Identity, 1) })
	for name, cert := range map[string]tls.Certificate{
		"with a good certificate":   r.deviceCA.IssueDeviceTLS(t, robot),
		"beginning in nine minutes": r.deviceCA.IssueDeviceTLS(t, robot, identitytest.ValidFrom(9*time.Minute)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := r.nodeClient(t, cert).RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
				t.Fatal(err)
			}
			got := <-r.node.callers
			pin, err := identity.FingerprintSPKI(cert.Leaf.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != robot || got.PublicKeySHA256 != pin || got.CertificateSHA256 != identity.FingerprintCertificate(cert.Leaf) || len(got.Exporter) != 32 {
				t.Errorf("caller is %+v, want %s with pin %s", got, robot, pin)
			}
		})
	}
}

func TestBothListenersSpeakTLS13Only(t *testing.T) {
	r := startGateway(t)
	for name, address := range map[string]string{pairingListener: r.pairingAddress(), nodeListener: r.nodeAddress()} {
		config := r.clientTLS(r.deviceCA.IssueDeviceTLS(t, robot))
		config.MaxVersion = tls.VersionTLS12
		if _, err := dialTLS(t, address, config); err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("%s: TLS 1.2 gave %v, want a refused version", name, err)
		}
		config = r.clientTLS(r.deviceCA.IssueDeviceTLS(t, robot))
		config.NextProtos = []string{"http/1.1"}
		conn, err := dialTLS(t, address, config)
		if err != nil {
			continue
		}
		// The refusal may come after the client's part of the handshake.
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: a client without h2 was answered %d bytes", name, n)
		}
	}
}

func TestNoSessionIsResumed(t *testing.T) {
	r := startGateway(t)
	config := r.clientTLS(r.deviceCA.IssueDeviceTLS(t, robot))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 2 {
		conn, err := dialTLS(t, r.nodeAddress(), config)
		if err != nil {
			t.Fatal(err)
		}
		// Tickets come after the handshake: read the server's first frame.
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("a session was resumed: it would outlive a revocation")
		}
	}
}

func TestAServerShowsItsCA(t *testing.T) {
	r := startGateway(t)
	conn, err := dialTLS(t, r.pairingAddress(), r.clientTLS())
	if err != nil {
		t.Fatal(err)
	}
	chain := conn.ConnectionState().PeerCertificates
	pin := identity.FingerprintSPKIDER(r.serverCA.Certificate.RawSubjectPublicKeyInfo)
	if err := identity.VerifyPinnedServer(chain, pin, time.Now(), 0); err != nil {
		t.Errorf("a machine with the pin of a QR code refuses: %v", err)
	}
}

func TestACallAfterTheCertificatesEndIsRefused(t *testing.T) {
	var ahead shiftedClock
	r := startGateway(t, func(_ *testGateway, o *Options) { o.Clock = &ahead })
	client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, robot))
	if _, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
		t.Fatal(err)
	}
	ahead.shift(23*time.Hour + time.Minute)
	_, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{})
	if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a call on an old connection: got %v, want Unauthenticated, expired", err)
	}
}
