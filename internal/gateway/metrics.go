package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// Metrics counts the connections and calls of the listeners. Label values are bounded: listener
// names, methods of the table, gRPC codes and reasons of package identity.
type Metrics struct {
	connections *prometheus.GaugeVec
	refused     *prometheus.CounterVec
	calls       *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	panics      prometheus.Counter
}

// NewMetrics creates and registers the metrics of a gateway.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mooring_gateway_connections",
			Help: "Open connections by listener.",
		}, []string{"listener"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mooring_gateway_refused_total",
			Help: "Connections and calls refused before they reached a service, by listener and reason.",
		}, []string{"listener", "reason"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mooring_gateway_calls_total",
			Help: "Finished calls by method and gRPC code.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "mooring_gateway_call_duration_seconds",
			Help:    "Duration of unary calls, long polls included.",
			Buckets: []float64{.005, .025, .1, .5, 2.5, 10, 30},
		}, []string{"method"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mooring_gateway_panics_total",
			Help: "Panics recovered in a call: each is a bug.",
		}),
	}
	for _, c := range []prometheus.Collector{m.connections, m.refused, m.calls, m.seconds, m.panics} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) countRefused(listener, reason string) {
	m.refused.WithLabelValues(listener, reason).Inc()
}

func (m *Metrics) countFinished(method string, code codes.Code) {
	m.calls.WithLabelValues(method, code.String()).Inc()
}

func (m *Metrics) observeDuration(method string, d time.Duration) {
	m.seconds.WithLabelValues(method).Observe(d.Seconds())
}
