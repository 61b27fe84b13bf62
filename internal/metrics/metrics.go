// Package metrics shows a node to Prometheus. Nothing is counted here: the rooms of the node
// count for themselves, without knowing of metrics, and are asked at each scrape.
//
// A scrape asks the leader of each stream for its end, for a second at most, and looks at each
// connection once: 20,000 of them take a few milliseconds.
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

// Node is what is shown. All of it must be set, but for what says otherwise.
type Node struct {
	Feeds     []Feed
	Streams   []Stream
	Publisher *publish.Publisher
	Admission *feedhttp.Admission
	Sockets   *engine.Sockets
	NATS      []NATSConn
	Replays   *feed.ReplayBudget
	Store     func() error  // why the embedded server stores nothing; nil without one
	Untrusted func() uint64 // requests whose identity headers were not believed; nil without any
	Draining  func() bool
	// Revocations are what came on the subject of revocations.
	Revocations func() Revocations
	// Recreations are how often each stream, by its name, was created again at run time.
	Recreations func() map[string]uint64
	Traces      func() tracing.Status // nil without any
	Version     string                // of this program
}

// Revocations are those that the node remembers or has forgotten before their time, and the messages.
type Revocations struct {
	Remembered                  int
	Forgotten, Applied, Invalid uint64
}

// NATSConn is a connection to NATS by what it is for.
type NATSConn struct {
	Name string
	Conn *nats.Conn
}

// Feed is a handler by the name of its feed.
type Feed struct {
	Name    string
	Handler *feedhttp.Subscribe
}

// Stream is a stream that the node follows.
type Stream struct {
	Name         string
	Feed         *feed.Feed
	Log          *jetstore.Store
	WindowEvents int // the bounds of its window
	WindowBytes  int
}

// Metrics has a registry of its own: nothing global is in it.
type Metrics struct {
	registry *prometheus.Registry
	requests *requests
}

// New registers a node, its process and the Go runtime. It asks nothing yet.
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

// Registry is where others may add what they count.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// maxScrapes bounds the scrapes at a time; the others are answered 503.
const maxScrapes = 4

// Handler answers scrapes, in the form that is asked for. One of the collectors that fails is
// logged, and does not keep the others from being told.
func (m *Metrics) Handler(logger *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	})
}
