package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// measureAPIWrites counts the API writes of a short dispatch: its creation and one status PUT. The gateway
// waits ten minutes for a result before it would write Dispatched, so a slow moment of the machine
// cannot add to the count.
func measureAPIWrites(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.smallSystem(ctx)
	if err != nil {
		return r, err
	}
	if err := w.restartGateway(ctx, "--dispatched-delay=10m"); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, w.restartGateway(ctx)) }()
	fleet, err := w.startFleet(ctx, 1)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	calls := newCaller(ctx, w.client)
	defer calls.close()
	if err := sleep(ctx, fastPathAfter); err != nil {
		return r, err
	}
	before, err := w.readWrites(ctx)
	if err != nil {
		return r, err
	}
	for range s.writeCalls {
		if _, err := calls.timeDispatch(ctx, machine{fleet.Namespace, fleet.Agents()[0].Name}); err != nil {
			return r, err
		}
	}
	after, err := w.readWrites(ctx)
	if err != nil {
		return r, err
	}
	// Other writes in this time (Leases, the Node's status) do not belong to the dispatches.
	delta := after.since(before)
	maps.DeleteFunc(delta, func(key string, _ float64) bool { return !strings.Contains(key, " capabilitydispatches") })
	created, put := delta["POST capabilitydispatches"], delta["PUT capabilitydispatches/status"]
	all := delta.total()
	r.add(fmt.Sprint(s.writeCalls), fmt.Sprintf("%g", created), fmt.Sprintf("%g", put), fmt.Sprintf("%g", all-created-put))
	if all > created+put {
		r.Remark = fmt.Sprintf("All that was written: %s.", delta)
	}
	err = r.exactly("API writes per short dispatch", 2, all/float64(s.writeCalls))
	return r, err
}
