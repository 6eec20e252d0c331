package pairing

import "github.com/prometheus/client_golang/prometheus"

// Reasons why there is no room for another request. They are also the label of the metric.
const (
	reasonClusterFull = "ClusterFull"
	reasonFleetFull   = "FleetFull"
)

// limitReached is the reason why there is no room for another request; text is for the person at the
// machine.
type limitReached struct{ reason, text string }

// checkPendingLimit returns nil when a fleet with own undecided requests may have one more, and
// otherwise the reason. limit bounds the requests of all fleets, which have all now. A fleet may
// hold as many as are still free. One fleet alone gets half. However many fleets take all they can,
// a fleet without requests finds a place.
func checkPendingLimit(limit, all, own int) *limitReached {
	switch free := limit - all; {
	case free <= 0:
		return &limitReached{reasonClusterFull, "too many pairing requests wait for a decision in this cluster; try again when approvers have decided some"}
	case own >= free:
		return &limitReached{reasonFleetFull, "too many pairing requests of this fleet wait for a decision; try again when an approver has decided some"}
	default:
		return nil
	}
}

// newRefusedCounter returns the counter of requests that were not created for lack of room.
func newRefusedCounter(registerer prometheus.Registerer) *prometheus.CounterVec {
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mooring_gateway_pairing_requests_refused_total",
		Help: "Pairing requests of machines that proved a code or a token, refused because too many are undecided, by reason.",
	}, []string{"reason"})
	for _, reason := range []string{reasonClusterFull, reasonFleetFull} {
		refused.WithLabelValues(reason)
	}
	if registerer != nil {
		registerer.MustRegister(refused)
	}
	return refused
}
