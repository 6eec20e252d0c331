package session

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// Bounds of the messages that cost the cluster a read or this process much work, for one Node,
// per second and at once. A machine that reconnects after a long time has at most a few hundred
// results to report. It repeats them every minute.
const (
	unknownResultsPerSecond    = 10
	unknownResultsBurst        = 128
	capabilityChangesPerSecond = 1
	capabilityChangesBurst     = 5
)

// handleMessage handles one message from the machine.
func (s *session) handleMessage(ctx context.Context, m *gatewayv1.StreamNodeEventsRequest) {
	s.lastMessageAt = s.service.Clock.Now()
	s.facts.LastMessage = s.storedNow()
	switch m := m.GetMessage().(type) {
	case *gatewayv1.StreamNodeEventsRequest_Heartbeat:
		s.handleHeartbeat(ctx, m.Heartbeat)
	case *gatewayv1.StreamNodeEventsRequest_TrustBundleStored:
		s.handleBundleStored(ctx, m.TrustBundleStored)
	case *gatewayv1.StreamNodeEventsRequest_Accepted:
		s.updateEntry(ctx, m.Accepted.GetDispatch(), func(e *entry) { e.markAccepted(s.service.Time.Now()) })
	case *gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation:
		s.updateEntry(ctx, m.AwaitingLocalMediation.GetDispatch(), func(e *entry) {
			e.markAccepted(s.service.Time.Now())
			s.debugDispatch("person asked", e.d)
			e.approvalRequest = &approvalRequest{user: m.AwaitingLocalMediation.GetAskedUser(), since: timeOf(m.AwaitingLocalMediation.GetSince())}
		})
	case *gatewayv1.StreamNodeEventsRequest_MediationDecided:
		s.updateEntry(ctx, m.MediationDecided.GetDispatch(), func(e *entry) {
			e.markAccepted(s.service.Time.Now())
			e.approved = true
			s.debugDispatch("person allowed", e.d)
		})
	case *gatewayv1.StreamNodeEventsRequest_Progress:
		s.updateEntry(ctx, m.Progress.GetDispatch(), func(e *entry) {
			e.markAccepted(s.service.Time.Now())
			e.stage = gatewayv1.Clearance_STAGE_START
			s.debugDispatch("progress received", e.d)
			e.progress = &v1alpha1.DispatchProgress{Percent: int32(min(m.Progress.GetPercent(), 100)), Message: m.Progress.GetMessage()}
		})
	case *gatewayv1.StreamNodeEventsRequest_Result:
		s.handleResult(ctx, m.Result)
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

// updateEntry applies a message to the entry of an offered dispatch. It ignores messages about other
// dispatches: for those the machine may send only a Result.
func (s *session) updateEntry(ctx context.Context, ref *gatewayv1.DispatchRef, change func(*entry)) {
	e := s.entries[types.UID(ref.GetUid())]
	if e == nil || !e.offered || e.settled || e.result != nil {
		return
	}
	known := e.accepted
	if change(e); e.accepted && !known {
		s.debugDispatch("dispatch accepted", e.d)
	}
	s.advance(ctx, e)
}

func (e *entry) markAccepted(now time.Time) {
	if !e.accepted {
		e.accepted, e.acceptedAt = true, now
	}
}

func (s *session) handleResult(ctx context.Context, r *gatewayv1.Result) {
	ref := r.GetDispatch()
	if e := s.entries[types.UID(ref.GetUid())]; e != nil {
		s.handleKnownResult(ctx, e, resultOf(r))
		return
	}
	if !s.unknownResults.AllowN(s.service.Clock.Now(), 1) {
		s.service.metrics.throttled.WithLabelValues(throttledResult).Inc()
		s.debug("result of an unknown dispatch throttled", "uid", foreign.TruncateLine(ref.GetUid(), maxLoggedUID))
		return // The machine keeps the result and sends it again.
	}
	s.handleUnknownResult(ctx, ref, resultOf(r))
}

func (s *session) handleHeartbeat(ctx context.Context, h *gatewayv1.Heartbeat) {
	s.updateSkew(timeOf(h.GetAgentTime()))
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
		s.unpublished = true
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
		s.facts.BundleSHA256, s.unpublished = sum, true
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
	s.unpublished = true
	s.publish(ctx)
	for _, e := range s.queue.oldestFirst() {
		s.reevaluate(ctx, e)
	}
	s.offer(ctx)
}
