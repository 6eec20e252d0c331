package session

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Bounds of the messages that cost the cluster a read or this process much work, for one Node,
// per second and at once. A machine that reconnects after a long time has at most a few hundred
// results to report. It repeats them every minute.
const (
	straysPerSecond  = 10
	straysBurst      = 128
	changesPerSecond = 1
	changesBurst     = 5
)

// heard handles one message from the machine.
func (s *session) heard(ctx context.Context, m *gatewayv1.StreamNodeEventsRequest) {
	s.lastHeard = s.service.Clock.Now()
	s.facts.heard = s.stamp()
	switch m := m.GetMessage().(type) {
	case *gatewayv1.StreamNodeEventsRequest_Heartbeat:
		s.heartbeat(ctx, m.Heartbeat)
	case *gatewayv1.StreamNodeEventsRequest_TrustBundleStored:
		s.bundleStored(ctx, m.TrustBundleStored)
	case *gatewayv1.StreamNodeEventsRequest_Accepted:
		s.about(ctx, m.Accepted.GetDispatch(), func(e *entry) { e.accept(s.service.Time.Now()) })
	case *gatewayv1.StreamNodeEventsRequest_AwaitingLocalMediation:
		s.about(ctx, m.AwaitingLocalMediation.GetDispatch(), func(e *entry) {
			e.accept(s.service.Time.Now())
			e.asked = &question{user: m.AwaitingLocalMediation.GetAskedUser(), since: timeOf(m.AwaitingLocalMediation.GetSince())}
		})
	case *gatewayv1.StreamNodeEventsRequest_MediationDecided:
		s.about(ctx, m.MediationDecided.GetDispatch(), func(e *entry) {
			e.accept(s.service.Time.Now())
			e.yes = true
		})
	case *gatewayv1.StreamNodeEventsRequest_Progress:
		s.about(ctx, m.Progress.GetDispatch(), func(e *entry) {
			e.accept(s.service.Time.Now())
			e.stage = gatewayv1.Clearance_STAGE_START
			e.progress = &v1alpha1.DispatchProgress{Percent: int32(min(m.Progress.GetPercent(), 100)), Message: m.Progress.GetMessage()}
		})
	case *gatewayv1.StreamNodeEventsRequest_Result:
		s.hearResult(ctx, m.Result)
	case *gatewayv1.StreamNodeEventsRequest_CapabilitiesChanged:
		s.capabilitiesChanged(ctx, m.CapabilitiesChanged)
	case *gatewayv1.StreamNodeEventsRequest_Stopping:
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded})
	case *gatewayv1.StreamNodeEventsRequest_Hello:
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: status.Error(codes.InvalidArgument, "a second Hello in one session; open a new stream")})
	}
}

// stamp returns the current time of the API server, truncated to seconds as in stored objects.
func (s *session) stamp() metav1.Time {
	return metav1.NewTime(s.service.Time.Now().Truncate(time.Second))
}

// about applies a message to the entry of an offered dispatch. It ignores messages about other
// dispatches: for those the machine may send only a Result.
func (s *session) about(ctx context.Context, ref *gatewayv1.DispatchRef, change func(*entry)) {
	e := s.entries[types.UID(ref.GetUid())]
	if e == nil || !e.offered || e.settled || e.result != nil {
		return
	}
	change(e)
	s.advance(ctx, e)
}

func (e *entry) accept(now time.Time) {
	if !e.accepted {
		e.accepted, e.acceptedAt = true, now
	}
}

func (s *session) hearResult(ctx context.Context, r *gatewayv1.Result) {
	ref := r.GetDispatch()
	if e := s.entries[types.UID(ref.GetUid())]; e != nil {
		s.reported(ctx, e, resultOf(r))
		return
	}
	if !s.strays.AllowN(s.service.Clock.Now(), 1) {
		s.service.metrics.throttled.WithLabelValues(throttledResult).Inc()
		return // The machine keeps the result and sends it again.
	}
	s.stray(ctx, ref, resultOf(r))
}

func (s *session) heartbeat(ctx context.Context, h *gatewayv1.Heartbeat) {
	s.noteSkew(timeOf(h.GetAgentTime()))
	s.sendBundle()
	s.publish(ctx)
}

// noteSkew compares the machine's clock with the API server's. The skew is published only when it
// crosses skewLimit.
func (s *session) noteSkew(agent time.Time) {
	if agent.IsZero() {
		return
	}
	before := s.facts.skew
	s.facts.skew = agent.Sub(s.service.Time.Now())
	if (before.Abs() < skewLimit) != (s.facts.skew.Abs() < skewLimit) {
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

func (s *session) bundleStored(ctx context.Context, m *gatewayv1.TrustBundleStored) {
	if sum := sha256Hex(m.GetSha256()); sum != "" && sum != s.facts.bundleSHA256 {
		s.facts.bundleSHA256, s.unpublished = sum, true
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

// capabilitiesChanged applies a new description within the budget of the Node. Beyond the budget,
// the newest description waits and replaces earlier waiting ones.
func (s *session) capabilitiesChanged(ctx context.Context, m *gatewayv1.CapabilitiesChanged) {
	if s.changed != nil {
		s.service.metrics.throttled.WithLabelValues(throttledChange).Inc()
	}
	s.changed = m
	s.takeChange(ctx)
}

func (s *session) takeChange(ctx context.Context) {
	if !s.changes.AllowN(s.service.Clock.Now(), 1) {
		s.wakeIn(time.Second)
		return
	}
	err := s.facts.declare(s.changed.GetCapabilities(), s.service.known, s.affordSchemas(s.service.Clock.Now()))
	if errors.Is(err, errManySchemas) {
		s.wakeIn(time.Second)
		return
	}
	s.changed = nil
	if err != nil {
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: status.Error(codes.InvalidArgument, err.Error())})
		return
	}
	s.facts.registered = s.stamp()
	s.unpublished = true
	s.publish(ctx)
	for _, e := range s.queue.oldestFirst() {
		s.consider(ctx, e)
	}
	s.offer(ctx)
}
