package session

import (
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/journal"
)

// write sends what is queued, in order. It has no errors of its own: when sending
// fails, read has the status.
func (s *stream) write() error {
	for s.writeNext() {
	}
	return nil
}

// writeNext sends one message; false ends the writing.
func (s *stream) writeNext() bool {
	select {
	case <-s.closed:
		return false
	case message := <-s.queue:
		if message == nil {
			_ = s.wire.CloseSend() // it never errs
			return false
		}
		return s.wire.Send(message) == nil
	}
}

// enqueue waits for room; it gives up when the session is over.
func (s *stream) enqueue(message *gatewayv1.StreamNodeEventsRequest) {
	select {
	case s.queue <- message:
	case <-s.closed:
	}
}

// Accepted tells the gateway that an offer is journaled.
func (s *stream) Accepted(dispatch journal.Ref) { s.enqueue(acceptedMessage(dispatch)) }

// Finished tells the gateway an outcome, until it is settled.
func (s *stream) Finished(entry journal.Entry) {
	s.mu.Lock()
	s.sent[entry.Dispatch.UID] = s.Now()
	s.mu.Unlock()
	s.enqueue(resultMessage(entry))
}

func (s *stream) settled(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sent, uid)
}

// overdue lists results that were sent long ago and are not settled.
func (s *stream) overdue(now time.Time) []string {
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

func (s *stream) ending() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

func (s *stream) part(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason = reason
}

// askToLeave makes keep end the session; the first reason wins.
func (s *stream) askToLeave(reason error) {
	select {
	case s.leave <- reason:
	default:
	}
}
