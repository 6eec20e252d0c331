package dispatch

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// OfferStopDelay is a time after the end of a session. A dispatch that was created later than that
// is proven not to have been offered in the session. A gateway that is cut off stops offering
// before that.
const OfferStopDelay = 2 * time.Minute

// Session is the last recorded session of a Node. Both times come from the API server's clock, in
// whole seconds, so that they can be compared with creation timestamps.
type Session struct {
	Started, Ended *metav1.Time // nil: never recorded, or not ended
}

// SessionOf reads the last recorded session from the status of a Node.
func SessionOf(node *v1alpha1.Node) Session {
	return Session{Started: node.Status.SessionStartedTime, Ended: node.Status.SessionEndedTime}
}

// Live reports whether the session is recorded and has not ended. Only its gateway settles the
// dispatches of the Node then. A new session always starts strictly later than the last one ended.
func (s Session) Live() bool {
	return s.Started != nil && (s.Ended == nil || s.Ended.Before(s.Started))
}

// Facts are the properties of a Node that its dispatches depend on while they are settled outside
// its session. The caller must read them after the dispatch, not from an older cache: see
// [Facts.ProvenUnstarted].
type Facts struct {
	NodeExists   bool
	NodeDeleting bool
	Revoked      bool

	SessionLive    bool
	SessionStarted *metav1.Time // of the last recorded session; nil: none was ever recorded
	SessionEnded   *metav1.Time // nil: the session has not ended
}

// FactsOf returns the facts of a Node; nil stands for a Node that does not exist.
func FactsOf(node *v1alpha1.Node) Facts {
	if node == nil {
		return Facts{}
	}
	session := SessionOf(node)
	facts := Facts{
		NodeExists:     true,
		NodeDeleting:   node.DeletionTimestamp != nil,
		Revoked:        node.Spec.DesiredState == v1alpha1.NodeRevoked,
		SessionLive:    session.Live(),
		SessionStarted: session.Started,
	}
	if !facts.SessionLive {
		facts.SessionEnded = session.Ended
	}
	return facts
}

// ProvenUnstarted reports whether the dispatch is proven never to have been offered. It must still be
// Queued, and one of these must hold:
//   - the Node does not exist or never had a recorded session;
//   - the dispatch was created no later than the last session was recorded: such a dispatch is claimed
//     before it is offered, so it would not be Queued;
//   - the dispatch was created more than [OfferStopDelay] after that session ended.
//
// The proof holds at the instant of a compare-and-swap of the dispatch. A session that is recorded
// after the facts were read is later than the dispatch, and its gateway must claim the dispatch.
func (f Facts) ProvenUnstarted(d *v1alpha1.CapabilityDispatch) bool {
	if !isQueued(d.Status) {
		return false
	}
	created := d.CreationTimestamp.Time
	switch {
	case !f.NodeExists || f.SessionStarted == nil:
		return true
	case !created.After(f.SessionStarted.Time):
		return true
	case f.SessionLive || f.SessionEnded == nil:
		return false
	default:
		return created.After(f.SessionEnded.Add(OfferStopDelay))
	}
}
