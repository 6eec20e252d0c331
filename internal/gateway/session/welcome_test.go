package session

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// TestWelcomeSaysHowLongTheGatewayWorked verifies that an agent can subtract the gateway's work
// from its wait.
func TestWelcomeSaysHowLongTheGatewayWorked(t *testing.T) {
	const work = 9 * time.Second
	c := clocktesting.NewFakeClock(noon.Time)
	s, _, _ := newStoreSession(c)
	s.service.Bundle = func() identity.Bundle { return identity.Bundle{} }
	s.helloAt = c.Now()
	c.Step(work)
	s.sendWelcome(t.Context(), &gatewayv1.Hello{})
	welcome := s.sent()[0].GetWelcome()
	if got := welcome.GetProcessingDuration().AsDuration(); got != work || !welcome.GetGatewayTime().AsTime().Equal(c.Now()) {
		t.Errorf("Welcome says %s at %s, want %s at %s", got, welcome.GetGatewayTime().AsTime(), work, c.Now())
	}
}
