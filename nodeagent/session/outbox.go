package session

import (
	"time"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/transport"
)

// write sends the queued messages, in order. Over a stream, receive returns the status of a
// failure; a failed report returns its own status.
func (s *session) write() error {
	for {
		if more, err := s.writeBatch(); !more {
			return err
		}
	}
}

// writeBatch sends queued messages, up to the bounds of a report. It returns false when write must
// end.
func (s *session) writeBatch() (more bool, err error) {
	var batch []*gatewayv1.StreamNodeEventsRequest
	last, bytes := false, 0
	select {
	case <-s.closed:
		return false, nil
	case message := <-s.queue:
		batch, last = append(batch, message), message == nil
	}
	for !last && len(batch) < transport.MaxReportMessages && bytes < transport.MaxReportBytes {
		bytes += proto.Size(batch[len(batch)-1])
		select {
		case message := <-s.queue:
			batch, last = append(batch, message), message == nil
			continue
		default:
		}
		break
	}
	if last {
		batch = batch[:len(batch)-1]
	}
	if len(batch) > 0 {
		s.debugBatch(batch)
		if err := s.conn.Send(batch); err != nil {
			return false, err
		}
	}
	if last {
		s.conn.CloseSend()
	}
	return !last, nil
}

// debugBatch writes a debug line about each acceptance and each result that is sent next. It runs
// before Send: afterwards the answer of the gateway may be in the log already.
func (s *session) debugBatch(batch []*gatewayv1.StreamNodeEventsRequest) {
	for _, message := range batch {
		switch m := message.GetMessage().(type) {
		case *gatewayv1.StreamNodeEventsRequest_Accepted:
			debuglog.Dispatch(s.Log, "sending acceptance", m.Accepted.GetDispatch().GetUid())
		case *gatewayv1.StreamNodeEventsRequest_Result:
			debuglog.Dispatch(s.Log, "sending result", m.Result.GetDispatch().GetUid(), "code", m.Result.GetErrorCode())
		}
	}
}

// enqueue waits for room in the queue, or for the end of the session. nil closes the agent's side.
func (s *session) enqueue(message *gatewayv1.StreamNodeEventsRequest) {
	if !fitsMessageLimit(message) {
		s.Log.Error("a message is too large for a gateway and is not sent", "bytes", proto.Size(message))
		return
	}
	select {
	case s.queue <- message:
	case <-s.closed:
	}
}

// Accepted reports to the gateway that an offer is in the journal.
func (s *session) Accepted(dispatch journal.Ref) { s.enqueue(acceptedMessage(dispatch)) }

// Asked reports to the gateway that a person is asked.
func (s *session) Asked(dispatch journal.Ref, user string, since time.Time) {
	s.enqueue(askedMessage(dispatch, user, since))
}

// Allowed reports to the gateway that the person allowed the run.
func (s *session) Allowed(dispatch journal.Ref) { s.enqueue(allowedMessage(dispatch)) }

// Progress reports the progress of a run to the gateway, unless the queue is full.
func (s *session) Progress(dispatch journal.Ref, percent int, message string) {
	select {
	case s.queue <- progressMessage(dispatch, percent, message):
	default:
	}
}

// overdue lists the results that were sent at least resendAfter ago and are not settled.
func (s *session) overdue(now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var uids []string
	for uid, at := range s.sent {
		if now.Sub(at) >= resendAfter {
			uids = append(uids, uid)
		}
	}
	return uids
}

func (s *session) endReason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

func (s *session) setEndReason(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = reason
}

// requestEnd makes maintain end the session. The first reason wins.
func (s *session) requestEnd(reason error) {
	select {
	case s.endRequests <- reason:
	default:
	}
}
