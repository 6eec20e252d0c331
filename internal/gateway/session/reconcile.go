package session

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

const (
	// openAttempts is how often opening starts over because the Node changed meanwhile.
	openAttempts = 5
	// reconcileWorkers bounds the writes of one Hello that run at once.
	reconcileWorkers = 8
)

// reconcile brings the unfinished dispatches and the journal of the machine together and
// records the session. It starts over when the Node changed meanwhile.
func (s *session) reconcile(ctx, streamCtx context.Context, hello *gatewayv1.Hello) error {
	for range openAttempts {
		if err := streamCtx.Err(); err != nil {
			return err
		}
		node, err := s.service.liveNode(ctx, s.caller)
		if err != nil {
			return err
		}
		reset, err := s.compareJournals(node)
		if err != nil {
			return err
		}
		list, err := s.service.listUnfinished(ctx, s.key)
		if err != nil {
			return err
		}
		journal := journalOf(hello)
		if !reset && s.forgot(list, journal) {
			reset, s.older = true, true
			s.log().Info("the journal of the machine forgot what it had accepted: it is an old copy", "session", s.id)
		}
		if err := s.reconcileAll(ctx, node, list, journal, reset); err != nil {
			return err
		}
		err = s.record(ctx, node)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	return status.Error(codes.Unavailable, "the Node of this machine changes too often; connect again")
}

// compareJournals tells whether the journal of the machine is not the one, or older than
// the one, of the last recorded session. While that session is live it refuses what is
// not newer: a dial that was overtaken.
func (s *session) compareJournals(node *v1alpha1.Node) (reset bool, err error) {
	last := &node.Status
	if last.JournalID == "" || last.SessionID == s.id {
		return false, nil // The first one, or our own, whose answer was lost.
	}
	live := dispatch.SessionOf(node).Live()
	if s.journal != last.JournalID {
		if live && !s.after(*last.SessionStartedTime) {
			return false, errReplaced // Its journal may be lost by now, its dial overtaken.
		}
		s.facts.clone = live || s.rival
		return true, nil
	}
	if s.dials > last.DialCounter {
		// With two users of one journal nobody knows which of them this is.
		s.older = repeated(node)
		return s.older, nil
	}
	if live {
		return false, errReplaced
	}
	s.older = true
	return true, nil
}

// after tells whether the machine began this dial in a later second than a session was recorded.
// Nothing else puts the dials of two journals in order.
func (s *session) after(started metav1.Time) bool {
	return s.dialed.Truncate(time.Second).After(started.Time)
}

// forgot tells whether the journal does not know what it once held: the machine was put back
// to an earlier state although its dial counter grew past the recorded one. A dispatch that was
// claimed or offered, but not heard accepted, proves nothing.
func (s *session) forgot(list []v1alpha1.CapabilityDispatch, journal map[types.UID]*gatewayv1.UnsettledDispatch) bool {
	return slices.ContainsFunc(list, func(d v1alpha1.CapabilityDispatch) bool {
		return journal[d.UID] == nil && (dispatch.Accepted(d.Status) || s.acceptedBefore[d.UID])
	})
}

// journalOf indexes what the machine has not settled.
func journalOf(hello *gatewayv1.Hello) map[types.UID]*gatewayv1.UnsettledDispatch {
	journal := map[types.UID]*gatewayv1.UnsettledDispatch{}
	for _, u := range hello.GetUnsettled() {
		journal[types.UID(u.GetDispatch().GetUid())] = u
	}
	return journal
}

// reconcileAll decides about every unfinished dispatch before the session counts: with a
// lost journal what is not proven unstarted has failed; what the machine holds already is
// claimed, because the record will make it look unstarted; the rest is the queue.
func (s *session) reconcileAll(ctx context.Context, node *v1alpha1.Node, list []v1alpha1.CapabilityDispatch, journal map[types.UID]*gatewayv1.UnsettledDispatch, reset bool) error {
	lost := dispatch.FactsOf(node)
	stored, unwritable := make([]*v1alpha1.CapabilityDispatch, len(list)), make([]bool, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(reconcileWorkers)
	for i := range list {
		d := &list[i]
		d.ManagedFields = nil
		stored[i] = d
		decide := func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
			if reset {
				if failed := dispatch.Reset(d, lost, now); failed != nil {
					return *failed, true
				}
			}
			claim := journal[d.UID] != nil && d.Status.Phase == v1alpha1.DispatchQueued
			return dispatch.Claim(d.Status, s.service.Gateway, now), claim
		}
		if _, write := decide(d, s.service.Time.Now()); !write {
			continue
		}
		group.Go(func() (err error) {
			stored[i], err = s.service.writeStatus(ctx, "hello", d, decide)
			switch {
			case err == errGone: //nolint:errorlint // ours, never wrapped
				stored[i], err = nil, nil
			case sizeRefused(err):
				s.log().Error(err, "a dispatch has no room for a status", "dispatch", d.Name)
				unwritable[i], err = true, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.remember(stored, withUnwritable(journal, stored, unwritable))
	return nil
}

// withUnwritable adds the dispatches without room for a status to what the machine holds: they are
// never offered. No other process can call them unstarted, because its status is no shorter.
func withUnwritable(journal map[types.UID]*gatewayv1.UnsettledDispatch, list []*v1alpha1.CapabilityDispatch, unwritable []bool) map[types.UID]*gatewayv1.UnsettledDispatch {
	for i, d := range list {
		if unwritable[i] && journal[d.UID] == nil {
			journal[d.UID] = &gatewayv1.UnsettledDispatch{State: gatewayv1.UnsettledDispatch_STATE_RUNNING}
		}
	}
	return journal
}

// remember makes the entries of a new session.
func (s *session) remember(list []*v1alpha1.CapabilityDispatch, journal map[types.UID]*gatewayv1.UnsettledDispatch) {
	s.entries, s.flight, s.queue = map[types.UID]*entry{}, map[types.UID]struct{}{}, queue{}
	now := s.service.Clock.Now()
	for _, d := range list {
		if d == nil {
			continue
		}
		if dispatch.Finished(d.Status) {
			if s.older {
				s.doubted = append(s.doubted, refOf(d))
			}
			continue
		}
		e := &entry{d: d}
		s.entries[d.UID] = e
		known := journal[d.UID]
		if known == nil {
			s.queue.add(e)
			continue
		}
		e.offered, e.offeredAt = true, now
		e.accept(s.service.Time.Now())
		if known.GetState() != gatewayv1.UnsettledDispatch_STATE_ACCEPTED {
			e.stage = gatewayv1.Clearance_STAGE_START
		}
		s.flight[d.UID] = struct{}{}
	}
}

// record makes the session count. Everything created up to the moment the write returned
// is claimed before it is offered, which is at least what the recorded time says: a slow
// write leaves no gap.
func (s *session) record(ctx context.Context, node *v1alpha1.Node) error {
	s.facts.started = s.stamp()
	if ended := node.Status.SessionEndedTime; ended != nil && !s.facts.started.After(ended.Time) {
		s.facts.started = metav1.NewTime(ended.Add(time.Second))
	}
	s.facts.lastEvent = v1alpha1.NodeEvent{Name: v1alpha1.ReasonSessionStarted, Time: s.facts.started}
	s.tried = node.ResourceVersion
	stored, err := s.service.apply(ctx, node, s.facts.compose(node, s.stamp()))
	if err != nil {
		return err
	}
	s.node, s.facts.clone = stored, false // The condition stays for its own time.
	s.fastAfter = metav1.NewTime(s.service.Time.Latest().Truncate(time.Second))
	if s.fastAfter.Before(&s.facts.started) {
		s.fastAfter = s.facts.started
	}
	now := s.service.Clock.Now()
	s.lastWrite.Store(now.UnixNano())
	s.lastHeard = now
	s.log().Info("session recorded", "session", s.id, "dialCounter", s.dials)
	return nil
}
