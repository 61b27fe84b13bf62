package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// httpRequests is the only metric counted by this package.
var httpRequests = define(counter, "http_requests_total", "Answered requests, by route (other: no route matches) and status. Subscribe requests have the status 200 also if they are rejected with tidemark.close. Connections over TLS or HTTP/2 are counted at their end.", "route", "code")

type requests struct{ counter *prometheus.CounterVec }

func newRequests() *requests {
	return &requests{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + httpRequests.name, Help: httpRequests.help,
	}, httpRequests.labels)}
}

// Answered counts a request. The route must be a configured route, or empty.
func (m *Metrics) Answered(route string, code int) {
	if route == "" {
		route = "other"
	}
	m.requests.counter.WithLabelValues(route, strconv.Itoa(code)).Inc()
}
