// Package metrics exports the metrics of a node to Prometheus.
//
// Use it to serve /metrics:
//
//	m := metrics.New(node)
//	mux.Handle("/metrics", m.Handler(logger))
//
// The package does not count itself, except for HTTP requests: the packages of the node have their own
// counters, and a scrape reads them. A scrape requests the last sequence of each stream from its leader, for
// at most one second. It reads the state of each connection, which takes a few milliseconds for 20,000
// connections.
package metrics

import (
	"log/slog"
	"net/http"
	"regexp"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/publish"
	"github.com/tidemark/tidemark/internal/tracing"
)

// Node contains the parts of a node to export. All fields are required, unless their comment permits nil.
type Node struct {
	Feeds     []Feed
	Streams   []Stream
	Publisher *publish.Publisher
	Admission *feedhttp.Admission
	Sockets   *engine.Sockets
	Engine    *engine.Engine // its TLS handshakes; may be nil
	NATS      []NATSConn
	Replays   *feed.ReplayBudget
	Store     func() error  // the error of the embedded server's store; nil without an embedded server
	Untrusted func() uint64 // requests with ignored identity headers; nil without auth.identity header
	Draining  func() bool
	// Revocations returns the counts of revocations.
	Revocations func() Revocations
	// Recreations returns, by stream, how many times the node has created it again.
	Recreations func() map[string]uint64
	Traces      func() tracing.Status // nil without traces
	Version     string                // of this program
}

// Revocations contains the counts of stored and early removed revocations, and of messages.
type Revocations struct {
	Remembered                  int
	Forgotten, Applied, Invalid uint64
}

// NATSConn is a named connection to NATS.
type NATSConn struct {
	Name string
	Conn *nats.Conn
}

// Feed is the handler of a named feed.
type Feed struct {
	Name    string
	Handler *feedhttp.Subscribe
}

// Stream is a stream of the node.
type Stream struct {
	Name         string
	Feed         *feed.Feed
	Log          *jetstore.Store
	WindowEvents int // the limits of its window
	WindowBytes  int
}

// Metrics has its own registry and uses no global variables.
type Metrics struct {
	registry *prometheus.Registry
	requests *requests
}

// New registers a node, its process and the Go runtime. The first scrape reads their state.
func New(node Node) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), requests: newRequests()}
	m.registry.MustRegister(
		&collector{node: node}, m.requests.counter,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/sched/latencies:seconds$`)},
		)),
	)
	return m
}

// Registry returns the registry, for metrics of other packages.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// maxScrapes is the maximum number of concurrent scrapes; further ones are answered with 503.
const maxScrapes = 4

// Handler serves scrapes in the requested format. It logs failed collectors, and sends the metrics of the
// others.
func (m *Metrics) Handler(logger *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	})
}
