package agent_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// awaitPairingFailure waits until the agent ends with an error.
func (m *machine) awaitPairingFailure() {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), time.Minute)
	defer cancel()
	if code, err := m.process.Wait(ctx); err != nil || code == 0 {
		m.Fatalf("the agent ended with %d: %v", code, err)
	}
}

// TestAMachineShowsAFalseGatewayThreeConfirmations checks that a machine sends three confirmations
// for a code, over its restarts: each lets a false gateway test a PIN.
func TestAMachineShowsAFalseGatewayThreeConfirmations(t *testing.T) {
	m := &machine{T: t, gateway: fakegateway.Start(t), dir: t.TempDir()}
	m.gateway.Pairing.Complete = func(*gatewayv1.CompletePairingSessionResponse) (*gatewayv1.CompletePairingSessionResponse, error) {
		return nil, status.Error(codes.Unavailable, "later")
	}
	for range 2 {
		m.start("--pairing", m.gateway.PairingEndpoint, "--code", fakegateway.Code.String())
		m.awaitPairingFailure()
	}
	if got := m.gateway.Pairing.Confirmations(); got != 3 {
		t.Errorf("the gateway saw %d confirmations, want 3", got)
	}
}

// TestAMachineSendsNothingToAServerThatItsQRCodeDoesNotPin checks that a machine with a QR code
// sends nothing to a gateway with another CA.
func TestAMachineSendsNothingToAServerThatItsQRCodeDoesNotPin(t *testing.T) {
	m := &machine{T: t, gateway: fakegateway.Start(t), dir: t.TempDir()}
	var exchanges atomic.Int32
	m.gateway.Pairing.Begin = func() error {
		exchanges.Add(1)
		return status.Error(codes.Unauthenticated, "not accepted")
	}
	invitation := fakegateway.Start(t).Invitation()
	invitation.Gateway = m.gateway.PairingEndpoint
	m.start("--pair", invitation.String())
	m.awaitPairingFailure()
	if exchanges.Load() != 0 {
		t.Errorf("%d exchanges were begun with a server that is not pinned", exchanges.Load())
	}
}
