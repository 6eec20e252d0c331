package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// hopPause is the time between two hops. In it the machine journals that the last dispatch is
// settled, which must not count for the next hop.
const hopPause = 2 * time.Millisecond

// measureHop compares the way from an offer to its result over a session with a message and its answer
// over a stream of the same kind. Both use the real listener of a gateway with its TLS, in this
// process. The machine also journals the offer with its start, and the result.
func measureHop(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.smallSystem(ctx)
	if err != nil {
		return r, err
	}
	front, err := w.newStubGateway(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, front.close()) }()
	var pings, accepts, results []float64
	for round := range s.rounds + 1 {
		var ping, accept, whole []time.Duration
		for n := range s.hops {
			took, err := front.timePing()
			if err != nil {
				return r, fmt.Errorf("ping: %w", err)
			}
			accepted, ended, err := front.timeOffer(fmt.Sprintf("hop-%d-%d", round, n))
			if err != nil {
				return r, fmt.Errorf("offer: %w", err)
			}
			ping, accept, whole = append(ping, took), append(accept, accepted), append(whole, ended)
			if err := sleep(ctx, hopPause); err != nil {
				return r, err
			}
		}
		if round == 0 {
			continue // warm
		}
		median := func(samples []time.Duration) float64 { return quantilesInMs([][]time.Duration{samples}, 0.5)[0] }
		pings, accepts, results = append(pings, median(ping)), append(accepts, median(accept)), append(results, median(whole))
	}
	for _, line := range []struct {
		name   string
		rounds []float64
	}{{"ping", pings}, {"offer to Accepted (journaled once)", accepts}, {"offer to Result (journaled twice)", results}} {
		r.add(line.name, formatSpread(line.rounds, "%.3f"), formatSpread(ratios(line.rounds, pings), "%.2f"))
	}
	r.atMost("stream hop: offer to result / raw ping", "%.2f", 1.3, ratios(results, pings)...)
	return r, nil
}

// timePing sends a message and returns the time until its answer.
func (f *stubGateway) timePing() (time.Duration, error) {
	began := time.Now()
	if err := f.raw.Send(newOffer("ping")); err != nil {
		return 0, err
	}
	_, err := f.raw.Recv()
	return time.Since(began), err
}

// timeOffer offers echo to the machine and returns the times until its acceptance and its result.
func (f *stubGateway) timeOffer(uid string) (accepted, ended time.Duration, err error) {
	began := time.Now()
	if err := f.session.Send(newOffer(uid)); err != nil {
		return 0, 0, err
	}
	for {
		message, err := f.session.Recv()
		switch {
		case err != nil:
			return 0, 0, err
		case message.GetAccepted().GetDispatch().GetUid() == uid:
			accepted = time.Since(began)
		case message.GetResult().GetDispatch().GetUid() == uid:
			ended = time.Since(began)
			if message.GetResult().GetOutcome() != gatewayv1.Result_OUTCOME_SUCCEEDED {
				return 0, 0, fmt.Errorf("the offer ended %s: %s", message.GetResult().GetOutcome(), message.GetResult().GetErrorMessage())
			}
			return accepted, ended, f.session.Send(newSettled(message.GetResult().GetDispatch()))
		}
	}
}
