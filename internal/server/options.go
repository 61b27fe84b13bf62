package server

import (
	"cmp"
	"log/slog"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Options configure a Server. Zero values work, but for Embedded.Dir (or NATS.URL) and
// Feeds.
type Options struct {
	HTTP  HTTPOptions
	Admin AdminOptions
	// NATS is the server to use. With an empty URL an embedded one is started instead.
	NATS     natsconn.Options
	Embedded natsd.Options
	// Domain is the JetStream domain of all streams and of the bucket of presence, APIPrefix their
	// API where an account imports it. They are as in jetstore.Options.
	Domain, APIPrefix string
	// Streams are created when missing; where they differ they are changed if ApplyStreams.
	Streams      []jetstream.StreamConfig
	ApplyStreams bool
	// Dev is for trying things out: without Auth.Identity ?user= names the user, and without keys and
	// tokens presence may be read, both by programs of this machine alone; see auth.Dev. Not behind
	// a proxy.
	Dev    bool
	Auth   AuthOptions
	Feeds  []FeedOptions
	SSE    SSEOptions
	Window WindowOptions
	// Limits.Streams of 0 is what the limit of open files allows, less a reserve. Limits.PerAddress
	// of 0 is half of Limits.Streams, or 13,000 where that leaves a quarter and half is less.
	Limits feedhttp.Limits
	// ReplayBytes is the size of the feeds' common feed.ReplayBudget; its default when zero.
	ReplayBytes int
	Sockets     SocketLimits
	Publish     PublishOptions
	Console     bool // serve the console at /
	Node        NodeOptions
	// Presence is off when zero.
	Presence PresenceOptions
	// Traces are off when zero.
	Traces TraceOptions
	Logger *slog.Logger // nil discards
	// LogLevel is that of Logger, for operators to change; nil where it cannot be.
	LogLevel *logging.Level
	// Docs serves /openapi.json and /docs.
	Docs bool
}

// HTTPOptions say where and how clients connect.
type HTTPOptions struct {
	Addr              string // host:port; 127.0.0.1:8080 when empty; port 0 picks one
	CertFile, KeyFile string // PEM; without them HTTP/1.1 and h2c are spoken in the clear
	CORSOrigins       []string
	CORSCredentials   bool
	CORSHeaders       []string // request headers that pages may send besides those that Tidemark knows
	// Hosts are the host names that requests may be for, at every route and at the admin listener;
	// *.example.com stands for all names below
	// example.com. When empty, loopback listeners serve localhost alone, and others every name.
	// A request for another name is answered with 421.
	Hosts []string
	// BasePath is a path that all routes of Addr lie below, such as /tidemark: with a leading
	// slash and without a trailing one. Empty for none.
	BasePath string
	// TrustedProxies are proxies whose X-Forwarded-For names the client's address. When empty, all
	// clients of a proxy have its address. Gateways that name users are AuthOptions.Header.Trusted.
	TrustedProxies []netip.Prefix
	// HeadTimeout bounds the wait for the head of a request; 10 s when zero.
	HeadTimeout time.Duration
	// BodyTimeout bounds the time that a request takes to arrive with its body, whether or not a
	// handler reads it; 30 s when zero.
	BodyTimeout time.Duration
	// ShutdownTimeout bounds the wait for requests to end, and for streams beyond their
	// SSEOptions.DrainPeriod; 10 s when zero.
	ShutdownTimeout time.Duration
	// DrainDelay is how long a node that is to stop reports 503 at /readyz and closes new
	// connections with tidemark.close before it closes the open ones and the port. It should
	// exceed the interval of a load balancer's checks; zero waits for nothing.
	DrainDelay time.Duration
}

// AdminOptions say where operators connect.
type AdminOptions struct {
	// Addr is the host:port of /metrics, /healthz, /readyz, profiles (/debug/pprof/, for this machine
	// itself alone) and /admin (for this machine itself, and API keys with auth.AdminRight);
	// port 0 picks one. The first three have no login: whoever reaches it sees them.
	// Empty serves /metrics at HTTPOptions.Addr to this machine itself, and no profiles.
	Addr string
	// Optional lets the node go on as with an empty Addr, and log a warning, where it cannot listen
	// on Addr.
	Optional bool
}

// AuthOptions say who is calling.
type AuthOptions struct {
	// Identity are sources in the order in which they are tried: jwt, header, dev, anonymous.
	// Empty is anonymous, before which Options.Dev puts dev; without it a request with ?user= is
	// refused. Where no source finds an identity, the request is refused.
	Identity []string
	JWT      auth.JWTOptions
	Header   auth.HeaderOptions
	// TagKey is the key of the tags of GET /identity, with auth.MinTagKey bytes at least and the
	// same at all nodes. When empty, the nodes share one in the metadata of RevocationStream.
	TagKey []byte
}

// FeedOptions are one stream at some paths.
type FeedOptions struct {
	Name            string
	Paths           []string
	Stream          string
	Subjects, Allow []subject.Template
	ReplayFromStore bool // an ephemeral consumer for every resume
}

// SocketLimits bound the sockets of HTTPOptions.Addr; see engine.Sockets. Those of AdminOptions.Addr
// are 64.
type SocketLimits struct {
	All int // 0 is what the limit of open files allows, less a reserve
	// PerAddress bounds those of one IPv4 address, or one /64 of IPv6; the addresses of
	// HTTPOptions.TrustedProxies are exempt. 0 is half of All, or 14,000 where that leaves a
	// quarter and half is less.
	PerAddress int
}

// SSEOptions are as in feedhttp.SubscribeOptions, but for DrainPeriod.
type SSEOptions struct {
	Retry, RetryLater, Heartbeat, WriteTimeout, MaxAge, MaxIdle time.Duration
	// DrainPeriod is the time over which clients are sent away when the service stops; see
	// feedhttp.Subscribe.Drain. Zero sends all away at once.
	DrainPeriod time.Duration
}

// WindowOptions are as in feed.Options.
type WindowOptions struct{ Events, Bytes int }

// PublishOptions say whether and what may be published over HTTP.
type PublishOptions struct {
	Enabled  bool
	KeysFile string // of API keys; see auth.OpenAPIKeys
	// LocalOnly lets only this machine publish where there are neither keys nor tokens.
	LocalOnly bool
	ByToken   bool // a token of AuthOptions.JWT may publish what its publish claim says
	// AllSubjects accepts every subject of the feeds' streams, not only those that a feed can
	// deliver.
	AllSubjects bool
	MaxBytes    int64
	MaxBatch    int
}

// NodeOptions say what this node is to others.
type NodeOptions struct {
	// Name is this node's alone; the host's name and a few random characters when empty. See
	// presence.CheckNode.
	Name string
	// Version is the build's, for NATS micro and metrics.
	Version string
	// Micro announces the node as a NATS micro service.
	Micro bool
}

// PresenceOptions say whether the nodes tell each other who is connected; see
// presence.Options.
type PresenceOptions struct {
	Enabled  bool
	Bucket   string
	TTL      time.Duration
	Replicas int // 0 is what the definitions of the feeds' streams have
	Interval time.Duration
	Events   string
	ByToken  bool // a token of AuthOptions.JWT may read it if its claim says so
}

func (o Options) withDefaults() Options {
	o.HTTP.Addr = cmp.Or(o.HTTP.Addr, "127.0.0.1:8080")
	o.HTTP.HeadTimeout = cmp.Or(o.HTTP.HeadTimeout, 10*time.Second)
	o.HTTP.BodyTimeout = cmp.Or(o.HTTP.BodyTimeout, 30*time.Second)
	o.HTTP.ShutdownTimeout = cmp.Or(o.HTTP.ShutdownTimeout, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.NATS.Logger = cmp.Or(o.NATS.Logger, o.Logger.With("component", "nats"))
	o.Embedded.Logger = cmp.Or(o.Embedded.Logger, o.Logger.With("component", "nats-server"))
	return o
}

// TraceOptions are of the ways of events that are told by OpenTelemetry's OTLP; see
// tracing.Options.
type TraceOptions struct {
	Endpoint string  // URL of the collector, with its path; empty is off
	Sample   float64 // share of publishes and replays whose callers have not decided
	Rate     int     // traces a second at most; 100 when zero
}
