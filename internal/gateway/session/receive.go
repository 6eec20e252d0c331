package session

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// handleMessage handles one message from the machine.
func (s *session) handleMessage(ctx context.Context, m *gatewayv1.StreamNodeEventsRequest) {
	s.lastMessageAt = s.service.Clock.Now()
	s.facts.LastMessage = s.storedNow()
	if effects, handled := s.table.Receive(s.snapshot(ctx), m); handled {
		s.do(ctx, effects)
		if m.GetResult() != nil {
			s.stopWhenConfirmed()
		}
		return
	}
	switch m := m.GetMessage().(type) {
	case *gatewayv1.StreamNodeEventsRequest_Heartbeat:
		s.handleHeartbeat(ctx, m.Heartbeat)
	case *gatewayv1.StreamNodeEventsRequest_TrustBundleStored:
		s.handleBundleStored(ctx, m.TrustBundleStored)
	case *gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged:
		s.handleCapabilitiesChanged(ctx, m.CapabilitiesChanged)
	case *gatewayv1.StreamNodeEventsRequest_Stopping:
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded})
	case *gatewayv1.StreamNodeEventsRequest_Hello:
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: denial.New(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, "a second Hello in one session; open a new stream")})
	}
}

// storedNow returns the current time of the API server, truncated to seconds as in stored objects.
func (s *session) storedNow() metav1.Time {
	return metav1.NewTime(s.service.Time.Now().Truncate(time.Second))
}

func (s *session) handleHeartbeat(ctx context.Context, h *gatewayv1.Heartbeat) {
	s.updateSkew(dispatchtable.TimeOf(h.GetAgentTime()))
	s.sendBundle()
	s.publish(ctx)
}

// updateSkew compares the machine's clock with the API server's. The skew is published only when it
// crosses SkewLimit.
func (s *session) updateSkew(agent time.Time) {
	if agent.IsZero() {
		return
	}
	before := s.facts.Skew
	s.facts.Skew = agent.Sub(s.service.Time.Now())
	if (before.Abs() < nodestatus.SkewLimit) != (s.facts.Skew.Abs() < nodestatus.SkewLimit) {
		s.publisher.MarkChanged()
	}
}

// sendBundle sends the CA bundle if it differs from the bundle last sent to or stored by the
// machine.
func (s *session) sendBundle() {
	bundle := s.service.Bundle()
	sum := bundle.SHA256()
	if sum == s.bundle || len(bundle.Certificates()) == 0 {
		return
	}
	s.bundle = sum
	s.send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_TrustBundle{
		TrustBundle: &gatewayv1.TrustBundle{Pem: bundle.PEM()}}})
}

func (s *session) handleBundleStored(ctx context.Context, m *gatewayv1.TrustBundleStored) {
	if sum := sha256Hex(m.GetSha256()); sum != "" && sum != s.facts.BundleSHA256 {
		s.facts.BundleSHA256 = sum
		s.publisher.MarkChanged()
		s.publish(ctx)
	}
}

// sha256Hex returns the stored form of a SHA-256 in a message, or "" if sum has another length.
func sha256Hex(sum []byte) string {
	if len(sum) != 32 {
		return ""
	}
	return hex.EncodeToString(sum)
}

// handleCapabilitiesChanged applies a new description within the budget of the Node. Beyond the
// budget, the newest description waits and replaces earlier waiting ones.
func (s *session) handleCapabilitiesChanged(ctx context.Context, m *gatewayv1.CapabilitiesChanged) {
	if s.pendingCapabilities != nil {
		s.service.metrics.throttled.WithLabelValues(throttledChange).Inc()
	}
	s.pendingCapabilities = m
	s.applyPendingCapabilities(ctx)
}

func (s *session) applyPendingCapabilities(ctx context.Context) {
	if !s.capabilityChanges.AllowN(s.service.Clock.Now(), 1) {
		s.wakeIn(time.Second)
		return
	}
	err := s.facts.SetCapabilities(s.pendingCapabilities.GetCapabilities(), s.service.schemaVerdicts, s.schemaBudget(s.service.Clock.Now()))
	if errors.Is(err, nodestatus.ErrTooManySchemas) {
		s.wakeIn(time.Second)
		return
	}
	s.pendingCapabilities = nil
	if err != nil {
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: denial.New(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, err.Error())})
		return
	}
	s.facts.Registered = s.storedNow()
	s.publisher.MarkChanged()
	s.publish(ctx)
	s.do(ctx, s.table.ApplyCapabilities(s.snapshot(ctx)))
}
