package session

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// refreshAfter returns the lag of the Node watch above which refresh writes a Node again after
// that same time instead of after a minute. A third of StaleAfter keeps the lag measurable.
func (s *Service) refreshAfter() time.Duration { return s.StaleAfter / 3 }

// refresh writes lastHeartbeatTime of the least recently written Node, one Node per tick, until
// ctx ends. The cost does not depend on the number of Nodes, and the writes probe the watch
// steadily.
func (s *Service) refresh(ctx context.Context) {
	ticker := s.Clock.NewTicker(time.Duration(float64(time.Second) / s.RefreshesPerSecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		sess, written := s.registry.leastRecentlyWritten()
		if sess == nil {
			continue
		}
		wait := time.Minute
		if s.watchLag.lag() > s.refreshAfter() {
			wait = s.refreshAfter() // Only a write can measure the lag of the watch.
		}
		if s.Clock.Since(written) >= wait {
			// Set before the write, so that other Nodes get their turn even if this write fails.
			sess.lastWrite.Store(s.Clock.Now().UnixNano())
			sess.inbox.putRefresh()
		}
	}
}

// drain asks every machine to reconnect to another gateway, waits DrainGrace, and ends the
// remaining sessions. When it returns, no goroutine of any session runs.
func (s *Service) drain() {
	s.registry.close()
	for _, sess := range s.registry.all() {
		sess.inbox.putDrain()
	}
	grace := s.Clock.NewTimer(s.DrainGrace)
	defer grace.Stop()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.registry.running.Wait()
	}()
	select {
	case <-finished:
		return
	case <-grace.C():
	}
	for _, sess := range s.registry.all() {
		sess.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: errDraining})
	}
	finalGrace := s.Clock.NewTimer(s.DrainGrace)
	defer finalGrace.Stop()
	select {
	case <-finished:
		return
	case <-finalGrace.C():
	}
	// The leader records the remaining ends once the Lease is deleted.
	close(s.abandonEnds)
	for _, sess := range s.registry.all() {
		sess.replace(ending{reason: v1alpha1.ReasonSessionEnded, err: errDraining})
	}
	<-finished
}

// drainMessage returns a Drain. after is the delay before the machine reconnects.
func drainMessage(after time.Duration) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Drain{
		Drain: &gatewayv1.Drain{ReconnectAfter: durationpb.New(after)}}}
}
