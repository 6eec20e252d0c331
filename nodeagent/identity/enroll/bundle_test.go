package enroll_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// TestABundleThatDoesNotAdmitItsGatewayEndsThePairing checks that a bundle which does not certify
// the gateway that sent it is not stored. The gateway of the test has proved that it knows the
// code. Such a bundle would lock the machine out at its first poll.
func TestABundleThatDoesNotAdmitItsGatewayEndsThePairing(t *testing.T) {
	for name, invite := range map[string]func(*testMachine, *fakegateway.Gateway){
		"PIN": func(*testMachine, *fakegateway.Gateway) {},
		"QR": func(m *testMachine, g *fakegateway.Gateway) {
			qr := g.Invitation()
			m.code, m.qr, m.endpoint = nil, &qr, ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			foreign := fakegateway.NewCA(t, "foreign").Bundle(t)
			g.Pairing.Bundle = func() identity.Bundle { return foreign }
			m := newMachine(t, g)
			invite(m, g)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the machine would poll with a stored bundle for ever
			defer cancel()
			if err := m.pair(ctx); !errors.Is(err, enroll.ErrFailed) || !strings.Contains(err.Error(), "does not trust the gateway") {
				t.Errorf("got %v, want a failure that names the bundle", err)
			}
			if content := m.content(); strings.Contains(content, "CERTIFICATE") || m.files() != "lock pairing.json" {
				t.Errorf("kept %s", m.files())
			}
		})
	}
}

// TestTheConfirmedBundleStaysWhenTheNextOneIsWrong sends another bundle with the certificate. The
// confirmed bundle stays when the new one does not certify the gateway that sent it.
func TestTheConfirmedBundleStaysWhenTheNextOneIsWrong(t *testing.T) {
	g := fakegateway.Start(t)
	right, foreign := g.ServerCA.Bundle(t), fakegateway.NewCA(t, "foreign").Bundle(t)
	var wrong atomic.Bool
	g.Pairing.Bundle = func() identity.Bundle {
		if wrong.Load() {
			return foreign
		}
		return right
	}
	g.Pairing.Status = func(int, []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
		wrong.Store(true)
		return nil, nil
	}
	m := newMachine(t, g)
	if err := m.pair(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if kept, err := s.Trust(); err != nil || kept.SHA256() != right.SHA256() {
		t.Errorf("the stored bundle is another one: %v", err)
	}
}
