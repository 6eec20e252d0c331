package session

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/dispatchtable"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
)

const (
	// openAttempts bounds the attempts to open a session while the Node changes concurrently.
	openAttempts = 5
	// reconcileWorkers bounds the concurrent writes of one Hello.
	reconcileWorkers = 8
)

// reconcile matches the unfinished dispatches with the journal of the machine and records the
// session. It starts over if the Node changed concurrently.
func (s *session) reconcile(ctx, streamCtx context.Context, hello *gatewayv1.Hello) error {
	for range openAttempts {
		if err := streamCtx.Err(); err != nil {
			return err
		}
		node, err := s.service.getAuthorizedNode(ctx, s.caller)
		if err != nil {
			return err
		}
		s.debug("machine authorized")
		reset, err := s.compareJournals(node)
		if err != nil {
			return err
		}
		list, err := s.service.mailbox.ListUnfinished(ctx, s.key)
		if err != nil {
			return err
		}
		journal := journalOf(hello)
		if !reset && s.journalLostAcceptance(list, journal) {
			reset, s.journalRolledBack = true, true
			s.log().Info("the journal of the machine is an old copy: an accepted dispatch is missing", "session", s.id)
		}
		if err := s.reconcileAll(ctx, node, list, journal, reset); err != nil {
			return err
		}
		err = s.recordSession(ctx, node)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	return denial.New(codes.Unavailable, gatewayv1.ReasonNodeContended, "the Node of this machine changes too often; connect again")
}

// compareJournals reports whether the journal of the machine differs from or is older than the
// journal of the last recorded session. If that session is live, a dial that is not newer was
// overtaken, and compareJournals returns errReplaced.
func (s *session) compareJournals(node *v1alpha1.Node) (reset bool, err error) {
	last := &node.Status
	if last.JournalID == "" || last.SessionID == s.id {
		return false, nil // The first session, or this session after a lost response.
	}
	live := dispatch.SessionOf(node).Live()
	if s.journalID != last.JournalID {
		if live && !s.dialedAfter(*last.SessionStartedTime) {
			return false, errReplaced // The dial may have been overtaken, and its journal lost since.
		}
		s.facts.CloneSuspected = live || s.journalConflict
		return true, nil
	}
	if s.dialCounter > last.DialCounter {
		// If two machines use one journal, the gateway cannot distinguish them.
		s.journalRolledBack = repeatedDialRecorded(node)
		return s.journalRolledBack, nil
	}
	if live {
		return false, errReplaced
	}
	s.journalRolledBack = true
	return true, nil
}

// dialedAfter reports whether the machine began this dial in a later second than started, the
// recorded start of a session. No other fact orders the dials of two journals.
func (s *session) dialedAfter(started metav1.Time) bool {
	return s.dialedAt.Truncate(time.Second).After(started.Time)
}

// journalLostAcceptance reports whether a dispatch is missing from the journal that once contained
// it. Then the machine was restored to an earlier state, although its dial counter is above the
// recorded one. A dispatch that was claimed or offered without a received acceptance proves
// nothing.
func (s *session) journalLostAcceptance(list []v1alpha1.CapabilityDispatch, journal map[types.UID]*gatewayv1.UnsettledDispatch) bool {
	return slices.ContainsFunc(list, func(d v1alpha1.CapabilityDispatch) bool {
		return journal[d.UID] == nil && (dispatch.Accepted(d.Status) || s.previouslyAccepted[d.UID])
	})
}

// journalOf indexes the unsettled dispatches of the machine by UID.
func journalOf(hello *gatewayv1.Hello) map[types.UID]*gatewayv1.UnsettledDispatch {
	journal := map[types.UID]*gatewayv1.UnsettledDispatch{}
	for _, u := range hello.GetUnsettled() {
		journal[types.UID(u.GetDispatch().GetUid())] = u
	}
	return journal
}

// reconcileAll decides about every unfinished dispatch before the session is recorded. If the
// journal is reset, it fails the dispatches that are not proven unstarted. It claims the
// dispatches in the journal, because they would look unstarted once the session is recorded. It
// queues all other dispatches.
func (s *session) reconcileAll(ctx context.Context, node *v1alpha1.Node, list []v1alpha1.CapabilityDispatch, journal map[types.UID]*gatewayv1.UnsettledDispatch, reset bool) error {
	lastFacts := dispatch.FactsOf(node)
	stored, unwritable := make([]*v1alpha1.CapabilityDispatch, len(list)), make([]bool, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(reconcileWorkers)
	for i := range list {
		d := &list[i]
		d.ManagedFields = nil
		stored[i] = d
		decide := func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
			if reset {
				if failed := dispatch.DecideJournalReset(d, lastFacts, now); failed != nil {
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
			stored[i], err = s.service.mailbox.Write(ctx, "hello", d, decide)
			switch {
			case err == mailbox.ErrDeleted: //nolint:errorlint // ours, never wrapped
				stored[i], err = nil, nil
			case apicall.IsSizeRefusal(err):
				s.log().Error(err, "cannot write the status of a dispatch: the object is too large", "dispatch", d.Name)
				unwritable[i], err = true, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.loadTable(ctx, stored, withUnwritable(journal, stored, unwritable))
	return nil
}

// withUnwritable adds the dispatches without room for a status to the journal, so that they are
// never offered. No other process can record them as unstarted, because that status is no shorter.
func withUnwritable(journal map[types.UID]*gatewayv1.UnsettledDispatch, list []*v1alpha1.CapabilityDispatch, unwritable []bool) map[types.UID]*gatewayv1.UnsettledDispatch {
	for i, d := range list {
		if unwritable[i] && journal[d.UID] == nil {
			journal[d.UID] = &gatewayv1.UnsettledDispatch{State: gatewayv1.UnsettledDispatch_STATE_RUNNING}
		}
	}
	return journal
}

// loadTable fills the table of a new session.
func (s *session) loadTable(ctx context.Context, list []*v1alpha1.CapabilityDispatch, journal map[types.UID]*gatewayv1.UnsettledDispatch) {
	s.unverified = nil // An earlier attempt to open the session may have added some.
	var unfinished []*v1alpha1.CapabilityDispatch
	for _, d := range list {
		switch {
		case d == nil:
		case !dispatch.Finished(d.Status):
			unfinished = append(unfinished, d)
		case s.journalRolledBack:
			s.unverified = append(s.unverified, dispatchtable.RefOf(d))
		}
	}
	s.table.Load(s.snapshot(ctx), unfinished, journal)
}

// recordSession writes the session to Node.status. Every dispatch created before the write returned
// is claimed before it is offered. That moment is never earlier than the recorded start, so a slow
// write leaves no gap.
func (s *session) recordSession(ctx context.Context, node *v1alpha1.Node) error {
	s.facts.Started = s.storedNow()
	if ended := node.Status.SessionEndedTime; ended != nil && !s.facts.Started.After(ended.Time) {
		s.facts.Started = metav1.NewTime(ended.Add(time.Second))
	}
	s.facts.LastEvent = v1alpha1.NodeEvent{Name: v1alpha1.ReasonSessionStarted, Time: s.facts.Started}
	s.attemptedResourceVersion = node.ResourceVersion
	stored, err := s.service.apply(ctx, node, s.facts.Compose(node, s.storedNow()))
	if err != nil {
		return err
	}
	s.node, s.facts.CloneSuspected = stored, false // The condition stays for cloneMemory.
	claimUntil := metav1.NewTime(s.service.Time.Latest().Truncate(time.Second))
	if claimUntil.Before(&s.facts.Started) {
		claimUntil = s.facts.Started
	}
	s.table.ClaimUntil(claimUntil)
	now := s.service.Clock.Now()
	s.lastWrite.Store(now.UnixNano())
	s.lastMessageAt = now
	s.log().Info("session recorded", "session", s.id, "dialCounter", s.dialCounter)
	return nil
}
