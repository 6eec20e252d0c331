package enroll_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/identity/enroll"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// newQRMachine returns a machine that has only a QR code.
func newQRMachine(t *testing.T, g *fakegateway.Gateway) *testMachine {
	m := newMachine(t, g)
	qr := g.Invitation()
	m.code, m.endpoint, m.qr = nil, "", &qr
	return m
}

func TestAMachinePairsWithAQRCode(t *testing.T) {
	g := fakegateway.Start(t)
	m := newQRMachine(t, g)
	if err := m.pair(t.Context()); err != nil {
		t.Fatalf("pair: %v\n%s", err, m.out.String())
	}
	if !strings.Contains(m.out.String(), "Paired as node fleet/box") {
		t.Errorf("the person sees:\n%s", m.out.String())
	}
	if strings.Contains(m.content()+m.out.String(), m.qr.Secret) {
		t.Error("the secret of the QR code is on disk or on the screen")
	}
}

func TestNothingIsSentToAServerThatTheQRCodeDoesNotPin(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, g *fakegateway.Gateway, m *testMachine){
		"a relay with a certificate of its own": func(t *testing.T, g *fakegateway.Gateway, m *testMachine) {
			m.qr.Gateway = fakegateway.StartRelay(t, g)
		},
		"a code of another installation": func(t *testing.T, _ *fakegateway.Gateway, m *testMachine) {
			m.qr.CASHA256 = fakegateway.NewCA(t, "other").Pin()
		},
		"another gateway than the machine used before": func(t *testing.T, _ *fakegateway.Gateway, m *testMachine) {
			m.qr.Gateway = fakegateway.Start(t).PairingEndpoint
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			g.Pairing.Begin = func() error {
				t.Error("the gateway received a message of the machine")
				return nil
			}
			m := newQRMachine(t, g)
			change(t, g, m)
			err := m.pair(t.Context())
			if !errors.Is(err, enroll.ErrUnpinnedGateway) {
				t.Fatalf("got %v, want ErrUnpinnedGateway", err)
			}
			if got, want := m.files(), "lock pairing.json"; got != want {
				t.Errorf("directory holds %q, want %q", got, want)
			}
			if content := m.content(); strings.Contains(content, "CERTIFICATE") || strings.Contains(content, m.qr.LookupID) {
				t.Error("the directory holds a try or an answer of the server")
			}
		})
	}
}

func TestAWrongQRSecretIsTriedThreeTimesAtMost(t *testing.T) {
	g := fakegateway.Start(t)
	m := newQRMachine(t, g)
	m.qr.Secret = strings.Repeat("0", len(m.qr.Secret))
	for try := range 3 {
		if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrWrongCode) {
			t.Fatalf("start %d: got %v, want ErrWrongCode", try+1, err)
		}
	}
	if err := m.pair(t.Context()); !errors.Is(err, enroll.ErrNoTriesLeft) {
		t.Fatalf("got %v, want ErrNoTriesLeft", err)
	}
	if got := g.Pairing.Confirmations(); got != 3 {
		t.Errorf("the gateway saw %d confirmations, want 3", got)
	}
}

func TestAClockFarBehindIsNamedAndWaitedFor(t *testing.T) {
	g := fakegateway.Start(t)
	g.Pairing.Begin = func() error {
		t.Error("the gateway received a message of the machine")
		return nil
	}
	m := newQRMachine(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	m.now = func() time.Time {
		if asked++; asked == 3 {
			cancel()
		}
		return time.Unix(0, 0)
	}
	if err := m.pair(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the end of the context", err)
	}
	if out := m.out.String(); !strings.Contains(out, "ahead of the clock here, which shows 1970-01-01") || !strings.Contains(out, "is a clock wrong?") {
		t.Errorf("the person sees:\n%s", out)
	}
}
