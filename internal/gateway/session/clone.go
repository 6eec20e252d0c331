package session

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

const (
	// suspectedCloneTTL is the time that the suspicion of a clone stays after its last sign. Two
	// running copies produce a sign every few minutes.
	suspectedCloneTTL = 24 * time.Hour
	// suspectedCloneInterval is the minimum time between two writes of signs of the same kind.
	suspectedCloneInterval = 10 * time.Minute
	// dialTimeTolerance is the maximum difference between two estimates of the API server's time, in
	// whole seconds.
	dialTimeTolerance = 5 * time.Second
)

// setSuspectedClone sets the condition that two machines seem to use one identity. It returns false
// if a sign of the same kind is recorded in this session and younger than suspectedCloneInterval.
// The transition time of the condition is the time of the last sign.
func (f *nodeFields) setSuspectedClone(reason, message string, now metav1.Time) bool {
	old := meta.FindStatusCondition(f.Conditions, v1alpha1.ConditionSuspectedClone)
	if old != nil && old.Reason == reason && now.Sub(old.LastTransitionTime.Time) < suspectedCloneInterval && !old.LastTransitionTime.Before(f.SessionStartedTime) {
		return false
	}
	meta.RemoveStatusCondition(&f.Conditions, v1alpha1.ConditionSuspectedClone)
	setCondition(&f.Conditions, metav1.Condition{Type: v1alpha1.ConditionSuspectedClone, Status: metav1.ConditionTrue,
		Reason: reason, Message: message}, now)
	return true
}

// expireSuspectedClone removes the suspicion of a clone when its last sign is suspectedCloneTTL old.
func (f *nodeFields) expireSuspectedClone(now metav1.Time) {
	old := meta.FindStatusCondition(f.Conditions, v1alpha1.ConditionSuspectedClone)
	if old != nil && now.Sub(old.LastTransitionTime.Time) >= suspectedCloneTTL {
		meta.RemoveStatusCondition(&f.Conditions, v1alpha1.ConditionSuspectedClone)
	}
}

// recordRepeatedDial records the suspicion of a clone if a refused Hello proves a second user of the
// journal. The Hello was refused because it is not newer than the live session. The gateway that
// holds the live session keeps the condition, because it composes its fields over the stored ones.
func (s *Service) recordRepeatedDial(ctx context.Context, sess *session) {
	for range openAttempts {
		node, err := s.getAuthorizedNode(ctx, sess.caller)
		if err != nil || !sess.repeatsLiveDial(node) {
			return // A later sign is recorded.
		}
		next, now := fieldsOf(node), sess.storedNow()
		if now.Before(next.SessionStartedTime) {
			now = *next.SessionStartedTime // The start of a session may be a second ahead.
		}
		if !next.setSuspectedClone(v1alpha1.ReasonDialRepeated,
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
