package renew_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/credentials"
	"github.com/mooring-dev/mooring/nodeagent/identity/renew"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a paired machine that renews its certificate.
type machine struct {
	*renew.Renewer
	store *store.Store
}

// newMachine pairs a machine by hand, with a certificate that is valid for life. The machine rotates
// its key at the age rotateEvery.
func newMachine(t *testing.T, g *fakegateway.Gateway, life, rotateEvery time.Duration, now func() time.Time) machine {
	t.Helper()
	s, err := store.Open(t.TempDir() + "/id")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	key := fakegateway.NewKey(t)
	leaf := g.DeviceCA.IssueDevice(t, fakegateway.ID("box"), &key.PublicKey, life)
	id, err := store.NewIdentity(key, []*x509.Certificate{leaf})
	if err == nil {
		err = s.FinishPairing(id, g.ServerCA.Bundle(t), store.Config{NodeEndpoint: g.NodeEndpoint, PairingEndpoint: g.PairingEndpoint})
	}
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := credentials.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return machine{store: s, Renewer: renew.New(renew.Options{
		Credentials: loaded, Now: now, Rand: rand.Reader, Jitter: func() float64 { return 0 },
		RotateKeyEvery: rotateEvery, Log: slog.New(slog.DiscardHandler),
	})}
}

// connection is the connection of a session.
type connection struct{ *link.Link }

func (c connection) Current() (*link.Link, gatewayv1.NodeServiceClient) {
	return c.Link, gatewayv1.NewNodeServiceClient(c.Conn)
}

// renew renews the certificate over a connection with the one in use.
func (m machine) renew(t *testing.T, g *fakegateway.Gateway) (before, after store.Identity) {
	t.Helper()
	before = m.Credentials.Identity()
	certificate := before.TLSCertificate()
	l, err := link.Dialer{}.Dial(t.Context(), g.NodeEndpoint, link.TLSConfig(m.Credentials.Bundle(), &certificate, m.Now))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// A refused rotation must not wait for the recovery of the expired certificate.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := m.Run(ctx, connection{l}); err != nil {
		t.Fatal(err)
	}
	after = m.Credentials.Identity()
	if stored, err := m.store.Identity(); err != nil || !stored.Leaf().Equal(after.Leaf()) {
		t.Errorf("the certificate in use is not stored: %v", err)
	}
	if after.Leaf().Equal(before.Leaf()) || after.ID != before.ID {
		t.Errorf("renewed to %s, certificate %s", after.ID, after.Leaf().SerialNumber)
	}
	return before, after
}

// startDue starts a gateway whose certificates are due for renewal from the start.
func startDue(t *testing.T) *fakegateway.Gateway {
	t.Helper()
	g := fakegateway.Start(t)
	g.DeviceCA.Backdate = time.Hour
	return g
}

func TestARenewalKeepsTheKey(t *testing.T) {
	g := startDue(t)
	before, after := newMachine(t, g, time.Minute, 0, time.Now).renew(t, g)
	if !after.Key.Equal(before.Key) || !after.KeyMade.Equal(before.KeyMade) {
		t.Errorf("the key made at %s became one made at %s", before.KeyMade, after.KeyMade)
	}
}

func TestAnOldKeyIsReplaced(t *testing.T) {
	g := startDue(t)
	before, after := newMachine(t, g, time.Minute, time.Hour, time.Now).renew(t, g)
	if after.Key.Equal(before.Key) || !after.KeyMade.After(before.KeyMade) {
		t.Errorf("the key made at %s stayed", before.KeyMade)
	}
}

func TestAYoungKeyStays(t *testing.T) {
	g := startDue(t)
	before, after := newMachine(t, g, time.Minute, 2*time.Hour, time.Now).renew(t, g)
	if !after.Key.Equal(before.Key) {
		t.Error("the key was replaced")
	}
}

func TestARefusedRotationRenewsTheKeyInUse(t *testing.T) {
	g := startDue(t)
	g.Node.Rotate = func() error { return status.Error(codes.FailedPrecondition, "the pinned key is not known") }
	before, after := newMachine(t, g, time.Minute, time.Hour, time.Now).renew(t, g)
	if !after.Key.Equal(before.Key) || !after.KeyMade.Equal(before.KeyMade) {
		t.Errorf("the key made at %s became one made at %s", before.KeyMade, after.KeyMade)
	}
}

func TestAnExpiredCertificateIsRecoveredWithItsBundle(t *testing.T) {
	g := fakegateway.Start(t)
	union, err := g.ServerCA.Bundle(t).Merge(fakegateway.NewCA(t, "next").Bundle(t))
	if err != nil {
		t.Fatal(err)
	}
	g.Pairing.Bundle = func() identity.Bundle { return union }
	m := newMachine(t, g, 0, 0, time.Now)
	if err := m.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.Credentials.Expired(time.Now()) {
		t.Error("the certificate in use has expired")
	}
	if stored, err := m.store.Trust(); err != nil || stored.SHA256() != union.SHA256() || m.Credentials.Bundle().SHA256() != union.SHA256() {
		t.Errorf("the bundle of the answer is not stored: %v", err)
	}
}

func TestARecoveryWithABundleThatDoesNotAdmitItsGatewayKeepsTheOldOne(t *testing.T) {
	g := fakegateway.Start(t)
	foreign := fakegateway.NewCA(t, "foreign").Bundle(t)
	g.Pairing.Bundle = func() identity.Bundle { return foreign }
	m := newMachine(t, g, 0, 0, time.Now)
	if err := m.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := m.Credentials.Bundle().SHA256(), g.ServerCA.Bundle(t).SHA256(); got != want {
		t.Errorf("the bundle in use is %s, want %s", got, want)
	}
	if m.Credentials.Expired(time.Now()) {
		t.Error("the certificate was not recovered")
	}
}

func TestAClockThatIsFarAheadIsNamed(t *testing.T) {
	for name, refusal := range map[string]error{"a gateway that refuses": fakegateway.CertificateNotExpired(t), "an older gateway that issues": nil} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			g.Pairing.Recover = func() error { return refusal }
			g.Node.CertificateLifetime = 20 * time.Minute
			m := newMachine(t, g, g.Node.CertificateLifetime, 0, func() time.Time { return time.Now().Add(40 * time.Minute) })
			before := m.Credentials.Identity()
			var clock *renew.ClockAheadError
			if err := m.Recover(t.Context()); !errors.As(err, &clock) || clock.Ahead.Round(time.Minute) != 40*time.Minute {
				t.Errorf("got %v, want a clock that is 40 minutes ahead", err)
			}
			if !m.Credentials.Identity().Leaf().Equal(before.Leaf()) {
				t.Error("the certificate was replaced by one that has expired by the clock of the machine")
			}
		})
	}
}
