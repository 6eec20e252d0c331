package session

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// open records held as the session of its Node. It reconciles the Hello before, and makes offers
// after. On success the turn of the Node stays taken until the caller calls release.
func (s *Service) open(streamCtx, ctx context.Context, held *session, hello *gatewayv1.Hello) (release func(), err error) {
	if err := s.Check(); err != nil {
		return nil, status.Errorf(codes.Unavailable, "the gateway may not open sessions now: %v", err)
	}
	if !held.beginSession(s.Clock.Now()) {
		return nil, status.Error(codes.ResourceExhausted, "this machine opens sessions too often; connect again later")
	}
	introduced, ok := s.introduced.take(held.key, held.caller.PublicKeySHA256)
	if !ok {
		return nil, status.Error(codes.FailedPrecondition, "call RegisterNode before the session")
	}
	release, err = s.registry.acquire(streamCtx, held.key)
	if err != nil {
		return nil, err
	}
	held.dialed = s.Time.Now().Add(-s.Clock.Since(introduced.at))
	held.greet(hello, introduced.description)
	old, err := s.makeRoom(streamCtx, held)
	if err != nil {
		release()
		return nil, err
	}
	first, err := s.registry.put(held)
	if err != nil {
		s.bury(ctx, old)
		release()
		return nil, err
	}
	if first {
		s.freshness.restart()
	}
	if err := held.reconcile(ctx, streamCtx, hello); err != nil {
		s.registry.remove(held)
		close(held.closed)
		s.disown(ctx, held, err)
		s.bury(ctx, old)
		release()
		return nil, err
	}
	held.welcome(ctx, hello)
	return release, nil
}

// makeRoom ends the session that this gateway has for the same Node, if held is newer, and
// returns the ended session.
func (s *Service) makeRoom(ctx context.Context, held *session) (*session, error) {
	old := s.registry.of(held.key)
	if old == nil {
		return nil, nil
	}
	select {
	case <-old.stopped:
	default:
		overtaken := held.dials <= old.dials
		if held.journal != old.journal {
			overtaken = !held.after(old.facts.started)
		}
		if overtaken {
			return nil, errReplaced
		}
	}
	held.rival = old.journal != held.journal
	old.replace(ending{reason: v1alpha1.ReasonSessionReplaced, err: errReplaced})
	select {
	case <-old.closed:
		held.acceptedBefore = old.acceptances()
		return old, nil
	case <-ctx.Done():
		s.registry.spawn(func() {
			<-old.closed
			s.bury(context.WithoutCancel(ctx), old)
		})
		return nil, ctx.Err()
	}
}

// bury records the end of a session that was replaced by a session that failed to open. It does
// nothing if a third session is recorded first.
func (s *Service) bury(ctx context.Context, old *session) {
	if old == nil || old.ending.forget || old.buried {
		return
	}
	ctx = context.WithoutCancel(ctx)
	s.registry.spawn(func() { old.recordEnd(ctx, s.draining) })
}

// greet sets the fields of s that are known before the first read of the cluster.
func (s *session) greet(hello *gatewayv1.Hello, described description) {
	s.clearing = clears(hello)
	s.journal, s.dials = hello.GetJournalId(), int64(hello.GetDialCounter())
	if boot := foreign.Short(hello.GetBootId(), maxIDBytes); boot != "" {
		described.bootID = boot
	}
	if v := foreign.Short(hello.GetAgentVersion(), 64); v != "" {
		described.system.AgentVersion = v
	}
	now := s.stamp()
	s.facts = facts{
		description: described, gateway: s.service.Gateway, sessionID: s.id,
		journalID: s.journal, dialCounter: s.dials, registered: now, heard: now,
		certificate: certificateInfo(s.caller), bundleSHA256: sha256Hex(hello.GetBundleSha256()),
	}
	s.bundle = s.facts.bundleSHA256
	s.noteSkew(timeOf(hello.GetAgentTime()))
}

func certificateInfo(id peer.Identity) *v1alpha1.CertificateInfo {
	info := &v1alpha1.CertificateInfo{FingerprintSHA256: id.CertificateSHA256, PublicKeySHA256: id.PublicKeySHA256}
	if leaf := id.Certificate; leaf != nil {
		notBefore, notAfter := metav1.NewTime(leaf.NotBefore), metav1.NewTime(leaf.NotAfter)
		info.SerialNumber = fmt.Sprintf("%x", leaf.SerialNumber)
		info.NotBefore, info.NotAfter = &notBefore, &notAfter
	}
	return info
}
