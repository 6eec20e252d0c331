package session

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// refreshAfter is how old the status of an Online Node may get before the refresher
// writes the time of its last heartbeat; a third of it keeps the watch's lag measurable.
func (s *Service) refreshAfter() time.Duration { return s.StaleAfter / 3 }

// refresh writes lastHeartbeatTime of the Node written longest ago, one per turn, until
// ctx ends: a fixed budget however many Nodes there are, and a steady probe of the watch.
func (s *Service) refresh(ctx context.Context) {
	ticker := s.Clock.NewTicker(time.Duration(float64(time.Second) / s.RefreshesPerSecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		held, written := s.registry.stalest()
		if held == nil {
			continue
		}
		wait := time.Minute
		if s.freshness.lag() > s.refreshAfter() {
			wait = s.refreshAfter() // The watch has to be proven by something.
		}
		if s.Clock.Since(written) >= wait {
			held.lastWrite.Store(s.Clock.Now().UnixNano()) // Others get their turn even if this one fails.
			held.inbox.putRefresh()
		}
	}
}

// drain asks every machine to come back elsewhere, waits for them a little, and ends the
// rest. When it returns nothing of any session runs.
func (s *Service) drain() {
	s.registry.close()
	for _, held := range s.registry.all() {
		held.inbox.putDrain()
	}
	grace := s.Clock.NewTimer(s.DrainGrace)
	defer grace.Stop()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.registry.running.Wait()
	}()
	select {
	case <-gone:
		return
	case <-grace.C():
	}
	for _, held := range s.registry.all() {
		held.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: errDraining})
	}
	last := s.Clock.NewTimer(s.DrainGrace)
	defer last.Stop()
	select {
	case <-gone:
		return
	case <-last.C():
	}
	// What could not be recorded by now is left to the leader, once the Lease is gone.
	close(s.draining)
	for _, held := range s.registry.all() {
		held.replace(ending{reason: v1alpha1.ReasonSessionEnded, err: errDraining})
	}
	<-gone
}

// drainMessage spreads the machines over the time they are given.
func drainMessage(after time.Duration) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Drain{
		Drain: &gatewayv1.Drain{ReconnectAfter: durationpb.New(after)}}}
}
