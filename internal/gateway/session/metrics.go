package session

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// metrics holds the metrics of the sessions. Label values are bounded: Node names are never used.
type metrics struct {
	ended      *prometheus.CounterVec
	offers     prometheus.Counter
	settled    *prometheus.CounterVec
	conflicts  prometheus.Counter
	writes     *prometheus.CounterVec
	nodeWrites *prometheus.CounterVec
	foreign    prometheus.Counter
	throttled  *prometheus.CounterVec
	reviews    *prometheus.CounterVec
}

// Values of the label message of metrics.throttled.
const (
	throttledResult = "result"
	throttledChange = "capabilities"
)

func newMetrics(registerer prometheus.Registerer, sessions, lag func() float64) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		ended:      vector("mooring_gateway_sessions_ended_total", "Sessions that ended, by reason.", "reason"),
		offers:     counter("mooring_gateway_offers_total", "Dispatches offered to machines."),
		settled:    vector("mooring_gateway_settled_total", "Dispatches settled by this gateway, by phase.", "phase"),
		conflicts:  counter("mooring_gateway_dispatch_conflicts_total", "Conflicts of status writes of dispatches. The gateway decides again about each."),
		writes:     vector("mooring_gateway_dispatch_writes_total", "Status writes of dispatches, by step.", "step"),
		nodeWrites: vector("mooring_gateway_node_writes_total", "Status writes of Nodes, by outcome.", "outcome"),
		foreign:    counter("mooring_gateway_foreign_results_total", "Results for dispatches that do not exist or are not the sender's."),
		throttled:  vector("mooring_gateway_throttled_messages_total", "Messages dropped beyond the budget of a Node: results, which the machine sends again, and capabilities that a newer message replaced.", "message"),
		reviews:    vector("mooring_gateway_requester_reviews_total", "Reviews of the requesters of dispatches that waited, by outcome.", "outcome"),
	}
	if registerer != nil {
		registerer.MustRegister(m.ended, m.offers, m.settled, m.conflicts, m.writes, m.nodeWrites, m.foreign, m.throttled, m.reviews,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "mooring_gateway_sessions", Help: "Live sessions."}, sessions),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "mooring_gateway_node_watch_lag_seconds", Help: "Age of the newest own write that the Node watch has delivered."}, lag))
	}
	return m
}

// Offered implements dispatchtable.Observer.
func (m *metrics) Offered() { m.offers.Inc() }

// Settled implements dispatchtable.Observer.
func (m *metrics) Settled(phase v1alpha1.DispatchPhase) {
	m.settled.WithLabelValues(string(phase)).Inc()
}

// ForeignResult implements dispatchtable.Observer.
func (m *metrics) ForeignResult() { m.foreign.Inc() }

// ResultThrottled implements dispatchtable.Observer.
func (m *metrics) ResultThrottled() { m.throttled.WithLabelValues(throttledResult).Inc() }
