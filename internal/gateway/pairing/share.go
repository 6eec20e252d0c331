package pairing

import "github.com/prometheus/client_golang/prometheus"

// Reasons for which there is no room for another request, also the label of the metric.
const (
	reasonClusterFull = "ClusterFull"
	reasonFleetFull   = "FleetFull"
)

// full is why there is no room for another request; text is for the person at the machine.
type full struct{ reason, text string }

// checkShare says whether a fleet with own undecided requests may have one more, of limit over
// all fleets, which have all now; nil: it may. A fleet may hold as many as are still free: one
// alone gets half, and however many are greedy, a fleet that holds none finds a place.
func checkShare(limit, all, own int) *full {
	switch free := limit - all; {
	case free <= 0:
		return &full{reasonClusterFull, "too many pairing requests wait for a decision in this cluster; try again when approvers have decided some"}
	case own >= free:
		return &full{reasonFleetFull, "too many pairing requests of this fleet wait for a decision; try again when an approver has decided some"}
	default:
		return nil
	}
}

// newRefused counts requests that were not made for want of room.
func newRefused(registerer prometheus.Registerer) *prometheus.CounterVec {
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
