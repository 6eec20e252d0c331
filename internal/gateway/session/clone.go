package session

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

const (
	// dialTimeTolerance is the maximum difference between two estimates of the API server's time, in
	// whole seconds.
	dialTimeTolerance = 5 * time.Second
)

// recordRepeatedDial records the suspicion of a clone if a refused Hello proves a second user of the
// journal. The Hello was refused because it is not newer than the live session. The gateway that
// holds the live session keeps the condition, because it composes its fields over the stored ones.
func (s *Service) recordRepeatedDial(ctx context.Context, sess *session) {
	for range openAttempts {
		node, err := s.getAuthorizedNode(ctx, sess.caller)
		if err != nil || !sess.repeatsLiveDial(node) {
			return // A later sign is recorded.
		}
		next, now := nodestatus.FieldsOf(node), sess.storedNow()
		if now.Before(next.SessionStartedTime) {
			now = *next.SessionStartedTime // The start of a session may be a second ahead.
		}
		if !next.SetSuspectedClone(v1alpha1.ReasonDialRepeated,
			"A second agent dialed with the journal of the live session: check that the identity directory was not copied, or put back from a backup, while the machine was connected.", now) {
			return
		}
		switch _, err := s.apply(ctx, node, next); {
		case err == nil:
			sess.log().Info("a second agent uses the journal of the live session", "dialCounter", sess.dialCounter, "recorded", node.Status.DialCounter)
			return
		case !apierrors.IsConflict(err):
			sess.log().Error(err, "cannot record that a second agent uses the journal of the live session")
			return
		}
	}
}

// repeatedDialRecorded reports whether a second agent dialed with the journal of the last recorded
// session. An older copy of a journal reaches the recorded dial counter one dial at a time, so the
// next dial may come from that copy.
func repeatedDialRecorded(node *v1alpha1.Node) bool {
	sign := meta.FindStatusCondition(node.Status.Conditions, v1alpha1.ConditionSuspectedClone)
	return sign != nil && sign.Reason == v1alpha1.ReasonDialRepeated && !sign.LastTransitionTime.Before(node.Status.SessionStartedTime)
}

// repeatsLiveDial reports whether a second agent must have made the dial of s, because the agent of
// the live session cannot have. An agent counts each dial before it makes it, and makes one dial at
// a time. So it uses no count twice, and registers for an earlier dial before a later one.
func (s *session) repeatsLiveDial(node *v1alpha1.Node) bool {
	last, session := &node.Status, dispatch.SessionOf(node)
	if !session.Live() || last.SessionID == s.id || last.JournalID != s.journalID {
		return false
	}
	return s.dialCounter == last.DialCounter ||
		(s.dialCounter < last.DialCounter && s.dialedAt.After(session.Started.Add(dialTimeTolerance)))
}
