package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// httpRequests is counted where requests are answered, unlike all others.
var httpRequests = define(counter, "http_requests_total", "Requests that were answered, by the route that took them (other: none did) and the status. Streams have 200 also when they are turned away; one over TLS or HTTP/2 is counted at its end.", "route", "code")

type requests struct{ counter *prometheus.CounterVec }

func newRequests() *requests {
	return &requests{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + httpRequests.name, Help: httpRequests.help,
	}, httpRequests.labels)}
}

// Answered counts a request. The route must be one of those that were configured, or empty.
func (m *Metrics) Answered(route string, code int) {
	if route == "" {
		route = "other"
	}
	m.requests.counter.WithLabelValues(route, strconv.Itoa(code)).Inc()
}
