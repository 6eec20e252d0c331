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
	// cloneMemory is how long after its last sign the suspicion of a clone stays. Two running
	// copies show one every few minutes.
	cloneMemory = 24 * time.Hour
	// cloneRefresh is how often signs of the same kind are written at most.
	cloneRefresh = 10 * time.Minute
	// dialSlack covers what two clocks of the API server's time may differ by, in whole seconds.
	dialSlack = 5 * time.Second
)

// suspectClone notes a sign that two machines use the identity; it is false when a sign of the
// same kind is noted already, in this session and not long ago. The time of the condition is that
// of its last sign.
func (f *nodeFields) suspectClone(reason, message string, now metav1.Time) bool {
	old := meta.FindStatusCondition(f.Conditions, v1alpha1.ConditionSuspectedClone)
	if old != nil && old.Reason == reason && now.Sub(old.LastTransitionTime.Time) < cloneRefresh && !old.LastTransitionTime.Before(f.SessionStartedTime) {
		return false
	}
	meta.RemoveStatusCondition(&f.Conditions, v1alpha1.ConditionSuspectedClone)
	setCondition(&f.Conditions, metav1.Condition{Type: v1alpha1.ConditionSuspectedClone, Status: metav1.ConditionTrue,
		Reason: reason, Message: message}, now)
	return true
}

// forgetClone ends the suspicion a day after its last sign.
func (f *nodeFields) forgetClone(now metav1.Time) {
	old := meta.FindStatusCondition(f.Conditions, v1alpha1.ConditionSuspectedClone)
	if old != nil && now.Sub(old.LastTransitionTime.Time) >= cloneMemory {
		meta.RemoveStatusCondition(&f.Conditions, v1alpha1.ConditionSuspectedClone)
	}
}

// suspect looks whether a Hello that was refused because it is not newer than the live session
// proves a second user of the journal, and notes it. Whoever holds that session keeps the
// condition: what is stored of it is taken over.
func (s *Service) suspect(ctx context.Context, held *session) {
	for range openAttempts {
		node, err := s.liveNode(ctx, held.caller)
		if err != nil || !held.repeats(node) {
			return // The next sign is noted.
		}
		next, now := fieldsOf(node), held.stamp()
		if now.Before(next.SessionStartedTime) {
			now = *next.SessionStartedTime // A session may begin a second ahead.
		}
		if !next.suspectClone(v1alpha1.ReasonDialRepeated,
			"A second agent dialed with the journal of the live session: check that the identity directory was not copied, or put back from a backup, while the machine was connected.", now) {
			return
		}
		switch _, err := s.apply(ctx, node, next); {
		case err == nil:
			held.log().Info("a second agent uses the journal of the live session", "dialCounter", held.dials, "recorded", node.Status.DialCounter)
			return
		case !apierrors.IsConflict(err):
			held.log().Error(err, "cannot note the suspicion of a clone")
			return
		}
	}
}

// repeated tells whether a second agent dialed with the journal of the last recorded session. An
// older copy of a journal has to pass the recorded count one by one: it may be the next to come.
func repeated(node *v1alpha1.Node) bool {
	sign := meta.FindStatusCondition(node.Status.Conditions, v1alpha1.ConditionSuspectedClone)
	return sign != nil && sign.Reason == v1alpha1.ReasonDialRepeated && !sign.LastTransitionTime.Before(node.Status.SessionStartedTime)
}

// repeats tells whether the dial of s cannot be one of the agent that holds the live session.
// An agent counts each dial before it makes it, and makes one after the other: it uses no count
// twice, and has registered for an earlier dial before it registered for a later one.
func (s *session) repeats(node *v1alpha1.Node) bool {
	last, session := &node.Status, dispatch.SessionOf(node)
	if !session.Live() || last.SessionID == s.id || last.JournalID != s.journal {
		return false
	}
	return s.dials == last.DialCounter ||
		(s.dials < last.DialCounter && s.dialed.After(session.Started.Add(dialSlack)))
}
