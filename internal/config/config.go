// Package config is Tidemark's configuration: typed, with defaults, from a file, the
// environment and flags, of which the later beats the earlier.
//
// A key such as http.addr is a path in the YAML file, the variable TIDEMARK_HTTP_ADDR and
// the flag --http.addr. Feeds are set in the file alone, secrets in the file or the
// environment, as arguments show in process lists. tidemark.yaml beside this source is the
// annotated reference; it equals the defaults.
//
// Nothing is guessed: an unknown key, a value of the wrong kind and settings that
// contradict each other are errors that name the key, and all of them are reported at once.
package config

import "time"

// Config is the whole configuration. Default returns a complete one.
type Config struct {
	HTTP    HTTP
	Admin   Admin
	NATS    NATS
	Streams Streams
	Auth    Auth
	Feeds   map[string]Feed // by name
	SSE     SSE
	Limits  Limits
	Sockets SocketLimits
	Window  Window
	Publish Publish
	Console Console
	Docs    Docs
	// Node is who this node is, and Presence whether the nodes tell each other who is connected.
	Node     Node
	Presence Presence
	Traces   Traces
	Log      Log
	// Dev is for trying things out at a loopback address: ?user= names the user, and publishing and
	// presence need no key.
	Dev bool
	// Insecure lets everybody in beyond loopback, too.
	Insecure bool
}

// Auth is auth.*: who is calling.
type Auth struct {
	// Identity are the sources of identities, tried in this order: jwt, header, dev, anonymous.
	// Empty is for loopback only: broadcasts alone, and with Dev also dev.
	Identity []string
	JWT      JWT
	Header   AuthHeader
	// TagKey is a file with the key of the tags of accounts; empty shares one through NATS.
	TagKey string
}

// JWT is auth.jwt.*: JSON Web Tokens. One of the four places of keys is needed.
type JWT struct {
	SecretFile, PublicKeyFile, JWKSFile, JWKSURL string

	Algorithms   []string // that tokens may be signed with; all that the keys are for when empty
	Issuer       string   // what iss must be; any when empty
	Audience     []string // of which aud must hold one
	Leeway       time.Duration
	MaxLifetime  time.Duration // from iat to exp; 0 is any
	Cookie       string        // a cookie that may hold the token
	Query        bool          // ?access_token= may, too
	Claims       []string      // variable=claim path, such as city=address.city
	WidenClaim   string        // a claim with subjects that may be asked for beyond the feed's
	NarrowClaim  string        // a claim with the only subjects that may be read
	PublishClaim string        // a claim with subjects that may be published to

	PresenceClaim string // a claim that is true for who may read who is connected
}

// AuthHeader is auth.header.*: headers with an identity, trusted from the gateways in Trusted alone.
type AuthHeader struct {
	User     string
	Vars     []string       // variable=Header, such as city=X-City
	Expires  string         // the header with the end of the grant; empty for grants without an end
	Encoding HeaderEncoding // of the values of User and Vars
	Trusted  []string       // CIDRs or addresses of the gateways
}

// HeaderEncoding is auth.header.encoding: how a gateway writes values.
type HeaderEncoding string

// EncodingNone uses values as they are; EncodingPercent decodes %2E and the like.
const (
	EncodingNone    HeaderEncoding = "none"
	EncodingPercent HeaderEncoding = "percent"
)

// HTTP is http.*: where clients connect.
type HTTP struct {
	Addr            string // host:port
	TLS             TLSPair
	CORS            CORS
	Hosts           []string      // host names that requests may be for; empty is localhost on loopback, any beyond
	BasePath        string        // that all paths lie below; empty for none
	TrustedProxies  []string      // CIDRs or addresses of proxies, whose X-Forwarded-For names the client
	ShutdownTimeout time.Duration // how long requests may take to end; streams are told at once
	DrainDelay      DrainDelay    // how long /readyz reports 503 before connections are closed
}

// Admin is admin.*: where operators connect.
type Admin struct {
	Addr string // host:port, AdminAuto or AdminOff; see Listen
}

// TLSPair is a certificate and its key, as PEM files. Both are set or none.
type TLSPair struct{ Cert, Key string }

// CORS is http.cors.*: which pages of other origins may read.
type CORS struct {
	Headers     []string // request headers that those pages may send besides the known ones
	Origins     []string // such as https://app.example.com; "*" is any
	Credentials bool     // cookies and Authorization may be sent along
}

// NATS is nats.*: the server that stores the streams.
type NATS struct {
	URL         string // one or more, by comma; empty runs the embedded server
	Name        string // of the connection, in the server's monitoring
	Credentials string // .creds file
	NKey        string // seed file
	User        string
	Password    string
	Token       string
	Context     string // of the nats command, which then describes the server and the login
	Domain      string // of JetStream
	APIPrefix   string // of JetStream, in place of a domain
	InboxPrefix string // of the subjects that answers come to
	TLS         NATSTLS
	Embedded    Embedded
	// Source is not a key: Load reports there what came from the nats command's variables and
	// contexts.
	Source NATSSource
}

// NATSTLS is nats.tls.*; all are PEM files.
type NATSTLS struct {
	CA string // empty trusts the system's authorities
	TLSPair
	HandshakeFirst bool // before the server sends its INFO
}

// Embedded is nats.embedded.*: the server that runs inside when there is no nats.url.
type Embedded struct {
	Addr    string // host:port; empty is that of Config, else DefaultEmbeddedAddr
	Dir     string
	Sync    Sync
	Config  string // a configuration file of nats-server
	Account string // of Config, which the node logs in to
	Users   []EmbeddedUser
}

// DefaultEmbeddedAddr is where NATS clients connect where nothing names an address.
const DefaultEmbeddedAddr = "127.0.0.1:4222"

// EmbeddedUser is one of nats.embedded.users: a NATS client with a password.
type EmbeddedUser struct {
	Name         string
	PasswordHash string   // bcrypt
	Publish      []string // subjects, with wildcards, that it may publish to; empty for none
	Subscribe    []string // subjects that it may subscribe to; empty is _INBOX.>, which answers need
}

// Streams is streams.*: the definitions of streams.
type Streams struct {
	Dir      string // more definitions; empty for the built-in ones alone
	Replicas int    // of each stream, in place of num_replicas; 0 is what its definition says
	MaxBytes Size   // of each stream, in place of max_bytes; 0 is what its definition says
	Apply    bool   // change streams that differ from their definition
}

// Feed is feeds.NAME: one stream at some paths.
type Feed struct {
	Paths    []string
	Stream   string
	Subjects []string // templates of what each connection gets, such as notifications.user.{user}
	Allow    []string // templates, with wildcards, of what ?subject= may ask for
	Replay   Replay
}

// Replay is how a connection that is behind is served.
type Replay string

// ReplayAuto serves from the window what it still holds; ReplayConsumer always makes a
// consumer.
const (
	ReplayAuto     Replay = "auto"
	ReplayConsumer Replay = "consumer"
)

// SSE is sse.*: the streams of events.
type SSE struct {
	Retry        time.Duration // the client's delay before it reconnects; sent with jitter
	RetryLater   time.Duration // the delay for who is sent away for a limit
	Heartbeat    time.Duration // the longest silence on a connection
	WriteTimeout time.Duration // how long a client may take no bytes at all
	MaxAge       time.Duration // ends a stream after this time, with jitter; 0 never
	MaxIdle      time.Duration // ends a stream without events for this time; 0 never
	DrainPeriod  time.Duration // over how long clients are sent away at the end; 0 all at once
}

// Limits is limits.*: what one node takes. 0 is no limit, but for Streams, PerAddress and ReplayBytes.
type Limits struct {
	Streams    int // of all clients; 0 for what the limit of open files allows
	PerUser    int // streams of one user
	PerAddress int // streams of one IP address (IPv6: of one /64); 0 for half of all
	Replays    int // streams that catch up from the log

	// ReplayBytes is how much all replays together may have requested, or read and not sent.
	ReplayBytes Size

	// Of ?from=last: the subjects of one request, and requests over many subjects that wait.
	LastSubjects          int
	LastWaiting           int
	LastWaitingPerUser    int
	LastWaitingPerAddress int

	// What one address may do in the long run, and at once after a pause. Bursts count only
	// beside a rate.
	ConnectsPerSecond  int // requests for a stream
	ConnectsBurst      int
	PublishesPerSecond int // events by HTTP
	PublishesBurst     int
}

// SocketLimits is limits.sockets and limits.sockets_per_address.
type SocketLimits struct {
	All        int // 0 for what the limit of open files allows
	PerAddress int // of one IP address (IPv6: of one /64); 0 for half of all
}

// Window is window.*: how many of its recent events are kept in memory, for each stream.
type Window struct {
	Events int
	Bytes  Size
}

// Publish is publish.*: publishing by HTTP.
type Publish struct {
	Enabled  Switch
	Keys     string // file of API keys; empty for none
	Subjects PublishSubjects
	MaxBytes Size // of one request's body
	MaxBatch int  // events in one request
}

// PublishSubjects is what may be published by HTTP.
type PublishSubjects string

// PublishFeeds takes the subjects that some feed can deliver; PublishStream takes all subjects of
// the feeds' streams.
const (
	PublishFeeds  PublishSubjects = "feeds"
	PublishStream PublishSubjects = "stream"
)

// Console is console.*: the page for operators at /.
type Console struct {
	Enabled Switch
}

// Docs is docs.*: the description of the API.
type Docs struct {
	Enabled Switch // auto is on loopback alone
}

// Node is node.*: this node among others.
type Node struct {
	Name  string // empty for the host's name and a few random characters
	Micro bool   // announce it as a NATS micro service
}

// Presence is presence.*: who is connected, over all nodes.
type Presence struct {
	Enabled  bool
	Bucket   string
	TTL      time.Duration // of what a node writes, when it does so no longer
	Replicas int           // of the bucket; 0 for as many as the streams of the feeds have
	Events   string        // prefix of subjects for connects and disconnects; empty for none
}

// Traces is traces.*: OpenTelemetry, by OTLP over HTTP.
type Traces struct {
	Endpoint string // URL of the collector, with its path; empty is that of OpenTelemetry's variables, or off
	Sample   Share  // of publishes and replays whose callers have not decided
	Rate     int    // traces a second at most, whoever decided
}

// Log is log.*.
type Log struct {
	Level  string // trace, debug, info, warn, error
	Format string // auto (console on a terminal, else json), json, console
	Users  string // how users are written: plain, hash, off
	// UsersKey is a file with the key of hash; empty makes one for each start.
	UsersKey string
}

// Default returns the configuration without file, environment and flags.
func Default() Config {
	return Config{
		HTTP:  HTTP{Addr: "127.0.0.1:8080", CORS: CORS{Origins: []string{}, Headers: []string{}}, Hosts: []string{}, TrustedProxies: []string{}, ShutdownTimeout: 10 * time.Second, DrainDelay: DrainDelayAuto},
		Admin: Admin{Addr: AdminAuto},
		NATS: NATS{
			Name:     "tidemark",
			Embedded: Embedded{Dir: "./data/nats", Sync: SyncAlways, Users: []EmbeddedUser{}},
		},
		Auth: Auth{
			Identity: []string{},
			JWT:      JWT{Algorithms: []string{}, Audience: []string{}, Leeway: 30 * time.Second, Claims: []string{"user=sub"}},
			Header:   AuthHeader{User: "X-User", Vars: []string{}, Encoding: EncodingNone, Trusted: []string{}},
		},
		Feeds: map[string]Feed{"notifications": {
			Paths:    []string{"/events", "/sse-notifications", "/api/events/subscribe"},
			Stream:   "NOTIFICATIONS",
			Subjects: []string{"notifications.broadcast", "notifications.user.{user}"},
			Allow:    []string{"notifications.city.*", "notifications.topic.>"},
			Replay:   ReplayAuto,
		}},
		SSE: SSE{Retry: time.Second, RetryLater: 20 * time.Second, Heartbeat: 15 * time.Second, WriteTimeout: 30 * time.Second, DrainPeriod: 30 * time.Second},
		Limits: Limits{
			Replays: 10_000, ReplayBytes: 32 * MiB,
			LastSubjects: 10_000,
			LastWaiting:  64, LastWaitingPerUser: 4, LastWaitingPerAddress: 16,
			ConnectsPerSecond: 2000, ConnectsBurst: 20_000,
			PublishesPerSecond: 1000, PublishesBurst: 5000,
		},
		Window:   Window{Events: 65536, Bytes: 64 * MiB},
		Publish:  Publish{Enabled: Auto, Subjects: PublishFeeds, MaxBytes: MiB, MaxBatch: 1000},
		Console:  Console{Enabled: Auto},
		Docs:     Docs{Enabled: Auto},
		Node:     Node{Micro: true},
		Presence: Presence{Bucket: "TIDEMARK_PRESENCE", TTL: time.Minute},
		Traces:   Traces{Sample: 0.01, Rate: 100},
		Log:      Log{Level: "info", Format: "auto", Users: "plain"},
	}
}
