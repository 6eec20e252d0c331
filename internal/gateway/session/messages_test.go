package session

import (
	"bytes"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// The skew of a clock is published when it crosses the limit, in either direction.
func TestTheSkewOfAClockIsPublishedWhenItCrossesTheLimit(t *testing.T) {
	for _, tt := range []struct {
		before, after time.Duration
		want          bool
	}{
		{0, nodestatus.SkewLimit - 1, false}, {0, nodestatus.SkewLimit, true}, {0, -nodestatus.SkewLimit, true}, {nodestatus.SkewLimit - 1, nodestatus.SkewLimit, true},
		{nodestatus.SkewLimit, nodestatus.SkewLimit + 1, false}, {nodestatus.SkewLimit, -nodestatus.SkewLimit, false}, {nodestatus.SkewLimit, 0, true},
	} {
		s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
		s.facts.Skew = tt.before
		s.updateSkew(noon.Add(tt.after))
		if s.publisher.Pending() != tt.want || s.facts.Skew != tt.after {
			t.Errorf("from %s to %s: published %t, want %t; the skew is %s", tt.before, tt.after, s.publisher.Pending(), tt.want, s.facts.Skew)
		}
		if s.updateSkew(time.Time{}); s.facts.Skew != tt.after {
			t.Error("a machine that sends no time has a skew")
		}
	}
}

func TestTheBundleIsSentWhenTheMachineHasAnotherOne(t *testing.T) {
	bundle, err := identity.ParseBundle([]byte(identitytest.NewAuthority(t, "ca").PEM()))
	if err != nil {
		t.Fatal(err)
	}
	s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
	s.outbox = &recordingOutbox{}
	s.service.Bundle = func() identity.Bundle { return identity.Bundle{} }
	if s.sendBundle(); len(s.sent()) != 0 {
		t.Error("an empty bundle is sent")
	}
	s.service.Bundle = func() identity.Bundle { return bundle }
	s.sendBundle()
	s.sendBundle()
	if len(s.sent()) != 1 || !bytes.Equal(s.sent()[0].GetTrustBundle().GetPem(), bundle.PEM()) {
		t.Errorf("sent %v, want the bundle once", s.sent())
	}
}

func TestTheStoredBundleIsPublishedOnceAndOnlyAsASHA256(t *testing.T) {
	s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
	s.blockPublisher()
	for _, tt := range []struct {
		sum  []byte
		want bool
	}{{make([]byte, 31), false}, {make([]byte, 33), false}, {nil, false}, {make([]byte, 32), true}, {make([]byte, 32), false}} {
		s.publisher.MarkPublished()
		s.handleBundleStored(t.Context(), &gatewayv1.TrustBundleStored{Sha256: tt.sum})
		if s.publisher.Pending() != tt.want {
			t.Errorf("a sum of %d bytes is published: %t, want %t", len(tt.sum), s.publisher.Pending(), tt.want)
		}
	}
}

func TestAChangeThatIsReplacedIsCountedAsThrottled(t *testing.T) {
	s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
	s.blockPublisher()
	const replaced = 3
	for range capabilityChangesBurst + 1 + replaced { // the first change beyond the burst waits
		s.handleCapabilitiesChanged(t.Context(), &gatewayv1.CapabilitiesChanged{})
	}
	var counted dto.Metric
	if err := s.service.metrics.throttled.WithLabelValues(throttledChange).Write(&counted); err != nil {
		t.Fatal(err)
	}
	if got := counted.GetCounter().GetValue(); got != replaced {
		t.Errorf("%v changes are counted, want %d", got, replaced)
	}
}
