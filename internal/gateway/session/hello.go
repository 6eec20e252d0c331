package session

import (
	"context"

	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/certstatus"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// openSession records sess as the session of its Node. It reconciles the Hello before that, and
// makes offers after that. On success the turn of the Node stays taken until the caller calls
// release.
func (s *Service) openSession(streamCtx, ctx context.Context, sess *session, hello *gatewayv1.Hello) (release func(), err error) {
	if err := s.checkWatches(); err != nil {
		return nil, denial.Newf(codes.Unavailable, gatewayv1.ReasonGatewayNotReady, "the gateway may not open sessions now: %v", err)
	}
	if err := s.Gate.Check(); err != nil {
		return nil, denial.Newf(codes.Unavailable, gatewayv1.ReasonPolicyUnproven, "the gateway may not open sessions now: %v", err)
	}
	if !sess.writes.AllowSession(s.Clock.Now()) {
		return nil, denial.New(codes.ResourceExhausted, gatewayv1.ReasonRateLimited, "this machine opens sessions too often; connect again later")
	}
	reg, ok := s.registrations.take(sess.key, sess.caller.PublicKeySHA256)
	if !ok {
		return nil, denial.New(codes.FailedPrecondition, gatewayv1.ReasonNotRegistered, "call RegisterNode before the session")
	}
	release, err = s.registry.acquire(streamCtx, sess.key)
	if err != nil {
		return nil, err
	}
	sess.dialedAt = s.Time.Now().Add(-s.Clock.Since(reg.registeredAt))
	sess.applyHello(hello, reg.Description)
	previous, err := s.replaceCurrent(streamCtx, sess)
	if err != nil {
		release()
		return nil, err
	}
	first, err := s.registry.add(sess)
	if err != nil {
		s.recordReplacedSessionEnd(ctx, previous)
		release()
		return nil, err
	}
	if first {
		s.watchLag.reset()
	}
	if err := sess.reconcile(ctx, streamCtx, hello); err != nil {
		s.registry.remove(sess)
		close(sess.closed)
		s.rollbackOpen(ctx, sess, err)
		s.recordReplacedSessionEnd(ctx, previous)
		release()
		return nil, err
	}
	sess.sendWelcome(ctx, hello)
	return release, nil
}

// replaceCurrent ends the session that this gateway has for the same Node, if sess is newer, and
// returns the ended session.
func (s *Service) replaceCurrent(ctx context.Context, sess *session) (*session, error) {
	previous := s.registry.get(sess.key)
	if previous == nil {
		return nil, nil
	}
	select {
	case <-previous.stopped:
	default:
		overtaken := sess.dialCounter <= previous.dialCounter
		if sess.journalID != previous.journalID {
			overtaken = !sess.dialedAfter(previous.facts.Started)
		}
		if overtaken {
			sess.debug("hello overtaken by a newer session", "by", previous.id)
			return nil, errReplaced
		}
	}
	sess.journalConflict = previous.journalID != sess.journalID
	previous.debug("session replaced", "by", sess.id)
	previous.replace(ending{reason: v1alpha1.ReasonSessionReplaced, err: errReplaced})
	select {
	case <-previous.closed:
		sess.previouslyAccepted = previous.table.UnrecordedAcceptances()
		return previous, nil
	case <-ctx.Done():
		s.registry.spawn(func() {
			<-previous.closed
			s.recordReplacedSessionEnd(context.WithoutCancel(ctx), previous)
		})
		return nil, ctx.Err()
	}
}

// recordReplacedSessionEnd records the end of a session that was replaced by a session that failed
// to open. It does nothing if a third session is recorded first.
func (s *Service) recordReplacedSessionEnd(ctx context.Context, previous *session) {
	if previous == nil || previous.ending.skipRecord || previous.endRecorded {
		return
	}
	ctx = context.WithoutCancel(ctx)
	s.registry.spawn(func() { previous.recordEnd(ctx, s.abandonEnds) })
}

// applyHello sets the fields of s that are known before the first read of the cluster.
func (s *session) applyHello(hello *gatewayv1.Hello, described nodestatus.Description) {
	s.clearanceSupported = supportsClearance(hello)
	s.journalID, s.dialCounter = hello.GetJournalId(), int64(hello.GetDialCounter())
	if boot := foreign.TruncateLine(hello.GetBootId(), nodestatus.MaxIDBytes); boot != "" {
		described.BootID = boot
	}
	if v := foreign.TruncateLine(hello.GetAgentVersion(), 64); v != "" {
		described.System.AgentVersion = v
	}
	now := s.storedNow()
	s.facts = nodestatus.Facts{
		Description: described, Gateway: s.service.Gateway, SessionID: s.id,
		JournalID: s.journalID, DialCounter: s.dialCounter, Registered: now, LastMessage: now,
		Certificate: certstatus.Describe(s.caller.Certificate), BundleSHA256: sha256Hex(hello.GetBundleSha256()),
	}
	s.bundle = s.facts.BundleSHA256
	s.table = s.newTable()
	s.updateSkew(dispatchtable.TimeOf(hello.GetAgentTime()))
}
