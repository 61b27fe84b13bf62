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
	"github.com/tidemark/tidemark/internal/tlsconfig"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Options configure a Server. Zero values work, except for Feeds, and for Embedded.Dir where NATS.URL is empty.
type Options struct {
	HTTP  HTTPOptions
	Admin AdminOptions
	// NATS is the server to use. With an empty URL the node starts an embedded server.
	NATS     natsconn.Options
	Embedded natsd.Options
	// Domain is the JetStream domain of all streams and of the bucket of presence. APIPrefix is the prefix of the
	// JetStream API where an account imports it. They are as in jetstore.Options.
	Domain, APIPrefix string
	// Streams are created if they are missing, and changed to these definitions if ApplyStreams.
	Streams      []jetstream.StreamConfig
	ApplyStreams bool
	// Dev is for development. Without Auth.Identity ?user= names the user, and without keys and tokens presence may
	// be read, both by programs of this machine alone; see auth.Dev. Do not set it behind a proxy.
	Dev    bool
	Auth   AuthOptions
	Feeds  []FeedOptions
	SSE    SSEOptions
	Window WindowOptions
	// Limits.Connections of 0 is the limit of open files, less a reserve. Limits.PerAddress of 0 is half of
	// Limits.Connections, but 13,000 where half is less than that and 13,000 leaves a quarter to others.
	Limits feedhttp.Limits
	// ReplayBytes is the size of the common feed.ReplayBudget of the feeds; its default when zero.
	ReplayBytes int
	Sockets     SocketLimits
	Publish     PublishOptions
	Console     bool // serve the console at /
	Node        NodeOptions
	// Presence is off when zero.
	Presence PresenceOptions
	// Traces are off when zero.
	Traces TraceOptions
	Logger *slog.Logger // nil discards the log
	// LogLevel is the level of Logger, which operators can change. When nil they cannot.
	LogLevel *logging.Level
	// Docs serves /openapi.json and /docs.
	Docs bool
}

// HTTPOptions are the addresses and limits of the main listener.
type HTTPOptions struct {
	Addr string // host:port; 127.0.0.1:8080 when empty; port 0 picks one
	// TLS is the certificate of the listener. When zero, the listener serves HTTP/1.1 and h2c in the clear.
	TLS tlsconfig.Options
	// EngineOff serves all connections with net/http, each with goroutines of its own.
	EngineOff       bool
	CORSOrigins     []string
	CORSCredentials bool
	CORSHeaders     []string // request headers that pages may send, in addition to those of Tidemark
	// Hosts are the allowed host names of requests, at every route and at the admin listener. *.example.com allows
	// all names below example.com. When empty, loopback listeners allow localhost alone, and other listeners every
	// name. A request for another name is answered with 421.
	Hosts []string
	// BasePath is the prefix of all routes of Addr, such as /tidemark, with a leading slash and without a trailing
	// one. Empty means no prefix.
	BasePath string
	// TrustedProxies are proxies whose X-Forwarded-For names the client's address. When empty, all clients of a
	// proxy have its address. AuthOptions.Header.Trusted has the gateways that name users.
	TrustedProxies []netip.Prefix
	// HeadTimeout bounds the time until the head of a request has arrived; 10 s when zero.
	HeadTimeout time.Duration
	// BodyTimeout bounds the time until a request has arrived with its body, whether or not a handler reads it; 30
	// s when zero.
	BodyTimeout time.Duration
	// ShutdownTimeout bounds the wait for requests to end, and for connections after SSEOptions.DrainPeriod; 10 s
	// when zero.
	ShutdownTimeout time.Duration
	// DrainDelay is the time between the announcement of a drain and the first closed connection. During it /readyz
	// answers 503, and new connections receive tidemark.close. It should exceed the interval of a load balancer's
	// checks. Zero skips it.
	DrainDelay time.Duration
}

// AdminOptions configure the admin listener.
type AdminOptions struct {
	// Addr is the host:port of /metrics, /healthz, /readyz, profiles (/debug/pprof/, for programs of this machine
	// alone) and /admin (for programs of this machine, and API keys with auth.AdminRight); port 0 picks a free one.
	// The first three are served without a login. When empty, /metrics is served at HTTPOptions.Addr to programs of
	// this machine, and profiles are not served.
	Addr string
	// Optional lets the node start as with an empty Addr, and log a warning, if it cannot listen on Addr.
	Optional bool
}

// AuthOptions configure the identities of clients.
type AuthOptions struct {
	// Identity has the sources of identities in the order in which they are tried: jwt, header, dev, anonymous.
	// Empty is anonymous alone. With Options.Dev dev comes before it; without Dev a request with ?user= is refused.
	// A request without an identity from any source is refused.
	Identity []string
	JWT      auth.JWTOptions
	Header   auth.HeaderOptions
	// TagKey is the key of the tags of GET /identity. It has at least auth.MinTagKey bytes, and is the same at all
	// nodes. When empty, the nodes share a key in the metadata of RevocationStream.
	TagKey []byte
}

// FeedOptions map paths to one stream.
type FeedOptions struct {
	Name            string
	Paths           []string
	Stream          string
	Subjects, Allow []subject.Template
	ReplayFromStore bool // an ephemeral consumer for every resume
}

// SocketLimits bound the sockets of HTTPOptions.Addr; see engine.Sockets. The limit at AdminOptions.Addr is 64.
type SocketLimits struct {
	All int // 0 is the limit of open files, less a reserve
	// PerAddress bounds the sockets of one IPv4 address, or one /64 of IPv6. The addresses of
	// HTTPOptions.TrustedProxies are exempt. 0 is half of All, but 14,000 where half is less than that and 14,000
	// leaves a quarter to others.
	PerAddress int
}

// SSEOptions are as in feedhttp.SubscribeOptions, except for DrainPeriod.
type SSEOptions struct {
	Retry, RetryLater, Heartbeat, WriteTimeout, MaxAge, MaxIdle time.Duration
	// DrainPeriod is the time over which the connections are closed when the node stops; see
	// feedhttp.Subscribe.Drain. Zero closes all at once.
	DrainPeriod time.Duration
}

// WindowOptions are as in feed.Options.
type WindowOptions struct{ Events, Bytes int }

// PublishOptions configure publishing over HTTP.
type PublishOptions struct {
	Enabled  bool
	KeysFile string // of API keys; see auth.OpenAPIKeys
	// LocalOnly restricts publishing to programs of this machine where neither keys nor tokens are configured.
	LocalOnly bool
	ByToken   bool // a token of AuthOptions.JWT may publish according to its publish claim
	// AllSubjects accepts every subject of the feeds' streams, also those that no feed can deliver.
	AllSubjects bool
	MaxBytes    int64
	MaxBatch    int
	// IdleTimeout is that of feedhttp.PublishOptions.
	IdleTimeout time.Duration
}

// NodeOptions are the name and version of this node.
type NodeOptions struct {
	// Name is unique among the nodes. When empty it is the host's name and a few random characters. See
	// presence.CheckNode.
	Name string
	// Version is the version of the build, for NATS micro and metrics.
	Version string
	// Micro announces the node as a NATS micro service.
	Micro bool
}

// PresenceOptions configure the list of connected users, shared by the nodes; see presence.Options.
type PresenceOptions struct {
	Enabled  bool
	Bucket   string
	TTL      time.Duration
	Replicas int // 0 is as in the definitions of the feeds' streams
	Interval time.Duration
	Events   string
	ByToken  bool // a token of AuthOptions.JWT may read presence if its claim allows it
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

// TraceOptions configure the traces of publishes and replays, sent over OTLP; see tracing.Options.
type TraceOptions struct {
	Endpoint string  // URL of the collector, with its path; empty disables traces
	Sample   float64 // share of publishes and replays without a decision of the caller
	Rate     int     // most traces a second; 100 when zero
}
