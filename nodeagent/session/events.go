package session

import (
	"context"
	"errors"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
	"github.com/mooring-dev/mooring/nodeagent/run/executor"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

// receive handles the messages of the gateway until the gateway ends the stream.
func (s *session) receive() error {
	for {
		message, err := s.conn.Recv()
		if err != nil {
			return err
		}
		s.handleMessage(message)
	}
}

func (s *session) handleMessage(message *gatewayv1.StreamNodeEventsResponse) {
	if ref, ok := dispatchOf(message); ok && !validRef(ref) {
		s.Log.Error("the gateway sent a message with an invalid dispatch name; the message is dropped")
		return
	}
	switch m := message.GetMessage().(type) {
	case *gatewayv1.StreamNodeEventsResponse_Offer:
		o := m.Offer.GetDispatch()
		debuglog.Dispatch(s.Log, "offer received", o.GetUid(), "namespace", o.GetNamespace(), "name", o.GetName(), "capability", m.Offer.GetCapability())
		s.Executor.Offer(offerOf(m.Offer))
	case *gatewayv1.StreamNodeEventsResponse_Cancel:
		debuglog.Dispatch(s.Log, "cancellation received", m.Cancel.GetDispatch().GetUid())
		s.Executor.Cancel(refOf(m.Cancel.GetDispatch()))
	case *gatewayv1.StreamNodeEventsResponse_Clearance:
		s.Executor.SetStage(refOf(m.Clearance.GetDispatch()), stageOf(m.Clearance.GetStage()))
	case *gatewayv1.StreamNodeEventsResponse_Settled:
		dispatch := refOf(m.Settled.GetDispatch())
		s.handleSettled(dispatch.UID)
		s.Executor.Settled(dispatch)
	case *gatewayv1.StreamNodeEventsResponse_TrustBundle:
		if err := s.storeTrustBundle(m.TrustBundle.GetPem()); err != nil {
			s.Log.Error("CA bundle refused; the old one stays", "error", err)
		}
	case *gatewayv1.StreamNodeEventsResponse_Drain:
		s.Log.Debug("drain received", "reconnectIn", m.Drain.GetReconnectAfter().AsDuration())
		s.requestEnd(&drainError{reconnectAfter: m.Drain.GetReconnectAfter().AsDuration()})
	default:
		s.Log.Warn("the gateway sent a message of a kind that this agent version does not support")
	}
}

// dispatchOf returns the dispatch of a message of the gateway; false for messages without a
// dispatch.
func dispatchOf(message *gatewayv1.StreamNodeEventsResponse) (*gatewayv1.DispatchRef, bool) {
	switch m := message.GetMessage().(type) {
	case *gatewayv1.StreamNodeEventsResponse_Offer:
		return m.Offer.GetDispatch(), true
	case *gatewayv1.StreamNodeEventsResponse_Cancel:
		return m.Cancel.GetDispatch(), true
	case *gatewayv1.StreamNodeEventsResponse_Clearance:
		return m.Clearance.GetDispatch(), true
	case *gatewayv1.StreamNodeEventsResponse_Settled:
		return m.Settled.GetDispatch(), true
	default:
		return nil, false
	}
}

// storeTrustBundle stores a CA bundle and acknowledges it. It rejects a bundle that does not trust
// the gateway that sent it, because that bundle would lock this machine out.
func (s *session) storeTrustBundle(text []byte) error {
	bundle, err := identity.ParseBundle(text)
	if err != nil {
		return err
	}
	l, _ := s.link.Current()
	if err := l.CheckBundle(bundle, s.Now()); err != nil {
		return err
	}
	if err := s.Credentials.ReplaceBundle(bundle); err != nil {
		return err
	}
	s.Log.Info("CA bundle stored", "sha256", bundle.SHA256())
	s.enqueue(storedMessage(bundle))
	return nil
}

// maintain sends the unsettled outcomes and then heartbeats, and ends the session with
// closeGracefully.
func (s *session) maintain(ctx context.Context, interval time.Duration) error {
	if err := s.sendUnsettled(); err != nil {
		return err
	}
	beat := time.NewTicker(interval)
	defer beat.Stop()
	var probe <-chan time.Time
	if s.maxDuration > 0 {
		timer := time.NewTimer(s.maxDuration)
		defer timer.Stop()
		probe = timer.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.agentStop.Done():
			return s.closeGracefully(ctx, errStopped)
		case reason := <-s.endRequests:
			return s.closeGracefully(ctx, reason)
		case <-probe:
			return s.closeGracefully(ctx, errProbe)
		case <-s.capabilitiesChanged:
			s.sendCapabilities()
		case <-beat.C:
			s.sendHeartbeat()
		}
	}
}

// sendUnsettled sends every outcome in the journal that is not settled, one at a time because
// outputs together can be large. It also sends the progress of open mediations.
func (s *session) sendUnsettled() error {
	open, err := s.Journal.Unsettled()
	if err != nil {
		return err
	}
	for _, e := range open {
		if e.State == journal.Finished {
			s.Finished(e)
		} else {
			executor.ResendMediation(s, e)
		}
	}
	return nil
}

// sendCapabilities sends the present capabilities of the machine.
func (s *session) sendCapabilities() {
	declared, outdated := declareCapabilities(s.Registry)
	s.capabilitiesChanged = outdated
	s.Log.Info("capabilities changed", "count", len(declared))
	s.enqueue(changedMessage(declared))
}

func (s *session) sendHeartbeat() {
	s.enqueue(heartbeatMessage(s.Now()))
	for _, uid := range s.overdue(s.Now()) {
		entry, known, err := s.Journal.Lookup(uid)
		if err != nil || !known || entry.Settled {
			s.handleSettled(uid)
			continue
		}
		s.Finished(entry)
	}
	s.sendNextResult()
	if err := s.Journal.Prune(s.Clock.Now()); err != nil {
		s.Log.Error("journal cannot be pruned", "error", err)
	}
}

// closeGracefully ends the session. It sends the outcomes, closes the agent's side of the stream,
// and waits until the gateway closes its side.
func (s *session) closeGracefully(ctx context.Context, reason error) error {
	s.Log.DebugContext(ctx, "closing the session", "reason", reason)
	s.setEndReason(reason)
	if errors.Is(reason, errStopped) {
		stopping, cancel := context.WithTimeout(ctx, stopTimeout)
		s.Executor.Stop(stopping)
		cancel()
	}
	s.enqueue(stoppingMessage(reason.Error()))
	s.enqueue(nil)
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
		return errStreamNotEnded
	}
}
