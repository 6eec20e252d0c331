package session

import (
	"bytes"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

func progressOf(d *v1alpha1.CapabilityDispatch, percent uint32) *gatewayv1.StreamNodeEventsRequest {
	return &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Progress{
		Progress: &gatewayv1.Progress{Dispatch: refOf(d), Percent: percent}}}
}

func TestAMessageCountsForADispatchThatWasOfferedAndHasNoResult(t *testing.T) {
	for name, tt := range map[string]struct {
		e    entry
		want bool
	}{
		"offered":       {entry{offered: true}, true},
		"not offered":   {entry{}, false},
		"settled":       {entry{offered: true, settled: true}, false},
		"with a result": {entry{offered: true, busy: true, result: &dispatch.Result{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s := newBlockedSession(c)
			tt.e.d = newDispatch(s, c, v1alpha1.DispatchQueued)
			s.entries[tt.e.d.UID] = &tt.e
			s.handleMessage(t.Context(), progressOf(tt.e.d, 40))
			if counted := tt.e.accepted && tt.e.stage == stageStart; counted != tt.want {
				t.Errorf("the message counts: %t, want %t", counted, tt.want)
			}
			s.handleMessage(t.Context(), progressOf(newDispatch(s, c, v1alpha1.DispatchQueued), 40)) // an unknown dispatch
		})
	}
}

func TestProgressIsAtMostAHundredPercent(t *testing.T) {
	for sent, want := range map[uint32]int32{0: 0, 40: 40, 100: 100, 101: 100, 1 << 31: 100} {
		c := clocktesting.NewFakeClock(noon.Time)
		s := newBlockedSession(c)
		e := &entry{d: newDispatch(s, c, v1alpha1.DispatchQueued), offered: true, busy: true}
		s.entries[e.d.UID] = e
		if s.handleMessage(t.Context(), progressOf(e.d, sent)); e.progress.Percent != want {
			t.Errorf("%d %% are %d %%, want %d", sent, e.progress.Percent, want)
		}
	}
}

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
		if s.unpublished != tt.want || s.facts.Skew != tt.after {
			t.Errorf("from %s to %s: published %t, want %t; the skew is %s", tt.before, tt.after, s.unpublished, tt.want, s.facts.Skew)
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
	s.outbox.spawn = func(func()) {}
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
	s.publishing = true
	for _, tt := range []struct {
		sum  []byte
		want bool
	}{{make([]byte, 31), false}, {make([]byte, 33), false}, {nil, false}, {make([]byte, 32), true}, {make([]byte, 32), false}} {
		s.unpublished = false
		s.handleBundleStored(t.Context(), &gatewayv1.TrustBundleStored{Sha256: tt.sum})
		if s.unpublished != tt.want {
			t.Errorf("a sum of %d bytes is published: %t, want %t", len(tt.sum), s.unpublished, tt.want)
		}
	}
}

func TestAChangeThatIsReplacedIsCountedAsThrottled(t *testing.T) {
	s := newBlockedSession(clocktesting.NewFakeClock(noon.Time))
	s.publishing = true
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

func TestATimeThatIsMissingOrOutOfRangeIsZero(t *testing.T) {
	for sent, want := range map[*timestamppb.Timestamp]time.Time{
		nil: {}, {Seconds: 1 << 60}: {}, {Nanos: -1}: {}, timestamppb.New(noon.Time): noon.Time,
	} {
		if got := timeOf(sent); !got.Equal(want) {
			t.Errorf("timeOf(%v) = %s, want %s", sent, got, want)
		}
	}
}
