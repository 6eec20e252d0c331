package dispatch

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// SettleDelay is how long after the end of a session a dispatch must have been created to be
// proven not to have been offered in it: a gateway that was cut off stops offering before.
const SettleDelay = 2 * time.Minute

// Session is the last recorded session of a Node. Both times are the apiserver's, in whole
// seconds, so that they can be compared with creation timestamps.
type Session struct {
	Started, Ended *metav1.Time // nil: never recorded, not ended
}

// SessionOf reads the last recorded session from the status of a Node.
func SessionOf(node *v1alpha1.Node) Session {
	return Session{Started: node.Status.SessionStartedTime, Ended: node.Status.SessionEndedTime}
}

// Live reports whether the session is recorded and has not ended: its gateway alone settles the
// dispatches of the Node. A new session starts strictly later than the one before ended.
func (s Session) Live() bool {
	return s.Started != nil && (s.Ended == nil || s.Ended.Before(s.Started))
}

// Facts is what must be known of a Node to settle its dispatches from outside its session. They
// have to be read after the dispatch was, not from an older cache: see Unstarted.
type Facts struct {
	NodeExists   bool
	NodeDeleting bool
	Revoked      bool

	SessionLive    bool
	SessionStarted *metav1.Time // of the last recorded session; nil: there never was one
	SessionEnded   *metav1.Time // nil: it has not ended
}

// FactsOf collects the facts of a Node; nil means that it does not exist.
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

// Unstarted reports whether the dispatch is proven never to have been offered. It must still be
// Queued, and one of these must hold:
//   - the Node does not exist or never had a recorded session;
//   - it was created no later than the last session was recorded: such a dispatch is claimed
//     before it is offered, so it would not be Queued;
//   - it was created more than SettleDelay after that session ended.
//
// The proof holds at the instant of a compare-and-swap of the dispatch: a session recorded after
// the facts were read is later than the dispatch, and has to claim it.
func (f Facts) Unstarted(d *v1alpha1.CapabilityDispatch) bool {
	if !queued(d.Status) {
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
		return created.After(f.SessionEnded.Add(SettleDelay))
	}
}
