// Package config is the configuration of a node: one struct with its keys, defaults and checks in tags.
//
// A key such as http.addr is a path in the YAML file, the variable TIDEMARK_HTTP_ADDR and the flag
// --http.addr. Flags override variables, which override the file, which overrides the defaults. Feeds and
// users of the embedded NATS server are set in the file only. Secrets have no flags, because process lists
// show arguments.
//
// Load reports all problems at once: unknown keys, values of the wrong kind, values out of range, and
// settings that contradict each other. It does not guess.
//
// # Adding a key
//
// Add a field to the struct of its section, and use it. The tags of the field are:
//
//	key      the name within the section; ",inline" for a struct whose keys belong to the section around it
//	default  the value when nothing sets the key, as the file would write it; the zero value when absent
//	usage    the help of the flag; <word> stands for the value
//	min, max the bounds of a number, a size or a duration
//	values   the only values that a string may have, by comma
//	secret   "value" for a secret, which is redacted and has no flag; "file" for a file that holds one
//	reload   "value" for a key that SIGHUP reads again; "file" for a file that SIGHUP reads again
//
// The comment of the field is its text in config/tidemark.yaml and docs/reference/configuration.md, which
//
//	TIDEMARK_UPDATE=1 go test ./internal/config
//
// writes. Flags, variables, the file, the checks of the tags, Print and the files with secrets follow from
// the tags. Checks of several keys, or of the form of a string, are code in the validate method of the section.
package config

import "time"

// Config is the whole configuration. Default returns a complete one.
type Config struct {
	HTTP  HTTP  `key:"http"`
	Admin Admin `key:"admin"`
	NATS  NATS  `key:"nats"`
	// Development mode for a loopback address, as with `tidemark serve --dev`: ?user= names the user, and
	// publishing and presence need no key, for programs of this machine only. Do not use it behind a
	// proxy: requests of a proxy that adds no header look like those of this machine.
	Dev bool `key:"dev" usage:"development mode for this machine: ?user= names the user, publishing needs no key"`
	// Permits configurations with access without authentication beyond loopback.
	Insecure bool    `key:"insecure" usage:"permit access without authentication beyond loopback"`
	Auth     Auth    `key:"auth"`
	Streams  Streams `key:"streams"`
	// Feeds by name: each serves one stream at its paths. Feeds in a file replace this default one.
	Feeds map[string]Feed `key:"feeds"`
	SSE   SSE             `key:"sse"`
	// Limits of one node. A connection beyond a limit is rejected with status 200, tidemark.close and a
	// longer retry, because EventSource treats any other status as final.
	Limits Limits `key:"limits"`
	// The recent events that a node keeps in memory, for each stream. A client that resumes within them
	// causes no read of the stream. The window ends at the bound that is reached first.
	Window  Window  `key:"window"`
	Publish Publish `key:"publish"`
	Console Console `key:"console"`
	Docs    Docs    `key:"docs"`
	// This node among the others.
	Node Node `key:"node"`
	// The connections of all nodes, with their node, address, start and position: GET /connections. It is
	// off by default, because it needs a key-value bucket and permissions in NATS, and is personal data.
	Presence Presence `key:"presence"`
	Traces   Traces   `key:"traces"`
	Log      Log      `key:"log"`
}

// HTTP is http.*: the listener for clients.
type HTTP struct {
	// Address for clients. The default accepts connections from this machine only; ":8080" accepts them
	// from other machines too.
	Addr string `key:"addr" default:"127.0.0.1:8080" usage:"serve HTTP at <host:port>"`
	// A certificate and its key (PEM files) enable HTTPS and HTTP/2. Browsers open at most six connections
	// to a host over HTTP/1.1, and a hundred over HTTP/2.
	TLS HTTPTLS `key:"tls"`
	// auto serves connections with the engine where it can: on Linux, HTTP/1.1 with and without TLS; they then
	// use no goroutine. off serves all with the HTTP server of Go, which takes more memory and CPU for each: use it
	// if you suspect a fault in the engine. Clients see no difference.
	Engine Engine `key:"engine" default:"auto" values:"auto,off" usage:"serve connections with the engine where possible (<auto>), or off"`
	CORS   CORS   `key:"cors"`
	// Host names that requests may be for, such as events.example.com or *.example.com; other names are
	// rejected with 421. When empty, a loopback listener serves localhost only (add the name that a proxy
	// on the same machine passes on), and any other listener serves every name. IP addresses beyond
	// loopback are always accepted, for probes and scrapes. Applies to admin.addr too.
	Hosts []string `key:"hosts" usage:"serve requests for these host <names> only, by comma"`
	// Path prefix of everything at http.addr, such as /tidemark, for proxies that do not remove it.
	BasePath string `key:"base_path" usage:"serve everything below this <path>"`
	// Addresses or CIDRs of proxies whose X-Forwarded-For names the address of the client. When empty,
	// limits by address count all clients of a proxy as one address. Users are a different matter: see
	// auth.header.trusted.
	TrustedProxies []string `key:"trusted_proxies" usage:"trust X-Forwarded-For of these proxies: <addresses> or CIDRs, by comma"`
	// Time for requests to end when the service stops, after all connections are closed.
	ShutdownTimeout time.Duration `key:"shutdown_timeout" default:"10s" min:"0s" usage:"wait this <duration> for requests to end"`
	// How long a stopping node (SIGTERM, POST /admin/drain) reports 503 at /readyz and rejects new
	// connections with a short retry before it closes the open ones and its port. Choose more than the
	// interval of the health checks of your load balancer. auto is 5s, and 0s for a process at a
	// terminal and with dev.
	DrainDelay DrainDelay `key:"drain_delay" default:"auto" usage:"report 503 at /readyz for this <duration> before closing connections; auto is 5s, and 0s at a terminal or with dev"`
}

// HTTPTLS is http.tls.*: the certificate of the listener for clients. Both files are set, or none.
type HTTPTLS struct {
	Cert string `key:"cert" reload:"file" usage:"serve HTTPS with this certificate (PEM <file>)"`
	Key  string `key:"key" secret:"file" reload:"file" usage:"key of the certificate (PEM <file>)"`
	// Makes a certificate in memory, instead of cert and key, for trying HTTPS and HTTP/2 on this machine:
	// for localhost, 127.0.0.1 and ::1, valid for 14 days, another one at each start. Browsers warn once, as
	// no authority has signed it. Requires an http.addr on loopback.
	SelfSigned bool `key:"self_signed" usage:"serve HTTPS with a certificate made in memory, to try it on this machine"`
	// Keys of session tickets, the same file at all nodes: clients then resume their TLS session at any node,
	// without a full handshake. Each line is a key of 32 bytes in base64, as openssl rand -base64 32 prints
	// it, the newest first; new tickets use the first, and tickets of all are accepted. Requires mode 0600.
	// When empty, each node has its own keys, which it rotates, and clients resume at the same node only.
	TicketKeys string `key:"ticket_keys" secret:"file" reload:"file" usage:"<file> with the keys of TLS session tickets, for all nodes"`
}

// Enabled reports whether the listener serves HTTPS.
func (t HTTPTLS) Enabled() bool { return t.Cert != "" || t.SelfSigned }

// Engine is http.engine: how connections are served.
type Engine string

// EngineAuto uses the engine where the system and the protocol permit; EngineOff never does.
const (
	EngineAuto Engine = "auto"
	EngineOff  Engine = "off"
)

// CORS is http.cors.*: pages of other origins.
type CORS struct {
	// Origins of pages that may read, such as https://app.example.com; "*" is any origin.
	Origins []string `key:"origins" usage:"let pages of these <origins> read, by comma"`
	// Lets those pages send cookies and Authorization. It cannot be combined with "*".
	Credentials bool `key:"credentials" usage:"let those pages send cookies and Authorization"`
	// Request headers that those pages may send besides Last-Event-ID, Content-Type, Authorization,
	// Cache-Control, Idempotency-Key, Event-Type, Nats-TTL, X-Requested-With and those of tracing libraries.
	Headers []string `key:"headers" usage:"let those pages send these additional request <headers>, by comma"`
}

// Admin is admin.*: the listener for operators.
type Admin struct {
	// Address for operators: /metrics for Prometheus, /healthz and /readyz; for programs
	// of this machine also /debug/pprof/ and /admin, the latter also for API keys with +admin. There is no
	// other login and no TLS: make it reachable only for people who may see how the service is used, on
	// loopback where possible. It answers until the last connection is closed. auto is 127.0.0.1:8081; if
	// that is in use, as by another node, the node logs a warning and continues as with off. A configured
	// address that is in use is an error. off serves none of these paths, and /metrics at http.addr with
	// the key dev only.
	Addr string `key:"addr" default:"auto" usage:"serve operators at <host:port>; auto, or off"`
}

// NATS is nats.*: the NATS server of the streams.
type NATS struct {
	// URLs of the server or cluster that stores the streams, such as
	// nats://a.example.com:4222,nats://b.example.com:4222. When empty, the node runs an embedded server,
	// which nats.embedded configures. NATS_URL and the other variables of the nats command apply only where
	// no key sets them and the embedded server has no store (docs/operate/nats.md).
	URL string `key:"url" usage:"use the NATS server at this <url> instead of the embedded one"`
	// Name of the connections in the monitoring of the server; connections of tails and of replays have
	// -tail and -replay appended.
	Name string `key:"name" default:"tidemark" usage:"<name> of the NATS connection"`
	// A .creds file. Set at most one login: credentials, nkey, user and password, or token.
	Credentials string `key:"credentials" secret:"file" usage:"NATS credentials <file>"`
	// A file with an nkey seed.
	NKey     string `key:"nkey" secret:"file" usage:"NATS nkey seed <file>"`
	User     string `key:"user" usage:"NATS <user>"`
	Password string `key:"password" secret:"value"`
	Token    string `key:"token" secret:"value"`
	// A context of the nats command (~/.config/nats/context/NAME.json) with the server and the login. It
	// replaces url, the logins and the keys below, except name and embedded; "selected" is the context
	// that `nats context select` has chosen.
	Context string `key:"context" usage:"connect with this <context> of the nats command; selected is the selected one"`
	// JetStream domain of the streams, such as that of a hub behind a leaf node. Set domain or api_prefix.
	Domain string `key:"domain" usage:"JetStream <domain> of the streams"`
	// Prefix of the JetStream API where an account imports it from another one, such as JS.hub.API.
	APIPrefix string `key:"api_prefix" usage:"<prefix> of the JetStream API, instead of a domain"`
	// Prefix of the subjects that receive replies, such as _INBOX_tidemark, for a user that may subscribe
	// to one prefix only. Empty is _INBOX, and a random prefix at the embedded server.
	InboxPrefix string   `key:"inbox_prefix" usage:"<prefix> of inboxes, instead of _INBOX"`
	TLS         NATSTLS  `key:"tls"`
	Embedded    Embedded `key:"embedded"`
	// Source is set by Load: the settings that came from the variables and contexts of the nats command.
	Source NATSSource `key:"-"`
}

// NATSTLS is nats.tls.*; all files are PEM.
type NATSTLS struct {
	// PEM file with the authorities to trust instead of those of the system.
	CA string `key:"ca" usage:"trust these authorities for NATS (PEM <file>)"`
	ClientCert
	// Starts TLS before the server sends its INFO, for servers with handshake_first.
	HandshakeFirst bool `key:"handshake_first" usage:"start TLS before the NATS server sends its INFO"`
}

// ClientCert is a client certificate and its key, as PEM files. Both are set, or none.
type ClientCert struct {
	// Client certificate and its key (PEM files).
	Cert string `key:"cert" usage:"client certificate for NATS (PEM <file>)"`
	Key  string `key:"key" secret:"file" usage:"key of the client certificate (PEM <file>)"`
}

// Embedded is nats.embedded.*: the NATS server inside the node, used when there is no nats.url.
type Embedded struct {
	// Address for NATS clients. When empty, that of nats.embedded.config, or else 127.0.0.1:4222. Without
	// users and config there is no login: every client can read and publish
	// everything, so an address beyond loopback requires --insecure.
	Addr string `key:"addr" usage:"embedded server: accept NATS clients at <host:port>; empty is that of nats.embedded.config, else 127.0.0.1:4222"`
	// Directory of the streams.
	Dir string `key:"dir" default:"./data/nats" usage:"embedded server: store streams in this <directory>"`
	// "always" syncs every event to the disk before it is acknowledged. An interval such as 2m is about
	// three times as fast; a power failure then loses up to that much, a killed process loses nothing.
	Sync Sync `key:"sync" default:"always" usage:"embedded server: sync to disk <always> or at an interval"`
	// A nats-server configuration file, which is loaded first: accounts, users, nkeys, an operator, TLS,
	// leaf nodes, gateways, monitoring, limits of JetStream. The keys here override its directives, each
	// with a warning. With an operator the node needs nats.credentials; nats.nkey and nats.user log it in
	// as a user of the file. docs/operate/nats.md has examples.
	Config string `key:"config" reload:"file" usage:"embedded server: load this nats-server configuration <file> first"`
	// Account of that file that has the streams; the node logs in to it by itself. Required where the file
	// has accounts and the node has no login of its own.
	Account string `key:"account" usage:"embedded server: <account> of nats.embedded.config that has the streams"`
	// NATS clients with a password, in the account of the node: a list of name, password_hash, publish and
	// subscribe. The node itself needs no password.
	Users []EmbeddedUser `key:"users" reload:"value"`
}

// DefaultEmbeddedAddr is the address of the embedded server where nothing sets one.
const DefaultEmbeddedAddr = "127.0.0.1:4222"

// EmbeddedUser is one of nats.embedded.users: a NATS client with a password.
type EmbeddedUser struct {
	Name string `key:"name"`
	// A bcrypt hash, as `tidemark nats-password` prints it.
	PasswordHash string `key:"password_hash" secret:"value"`
	// Subjects that the user may publish to, such as [notifications.>]; [">"] includes the JetStream API.
	Publish []string `key:"publish"`
	// Subjects that the user may subscribe to. Empty is [_INBOX.>], which receives replies; [">"] reads all
	// events.
	Subscribe []string `key:"subscribe"`
}

// Auth is auth.*: the identities of clients.
type Auth struct {
	// Authentication sources, tried in this order: jwt (signed tokens), header (set by a gateway of
	// auth.header.trusted), dev (?user=; requires the key dev), anonymous (every other request; without it
	// they are rejected). Empty is for an http.addr on loopback only: connections receive broadcasts only,
	// and with the key dev also those of ?user=.
	Identity []string   `key:"identity" values:"jwt,header,dev,anonymous" usage:"authenticate with these <sources> in order, by comma: jwt, header, dev, anonymous"`
	JWT      JWT        `key:"jwt"`
	Header   AuthHeader `key:"header"`
	// File with the key of the opaque tags by which clients distinguish accounts (GET /identity): at least
	// 16 bytes, the same on all nodes. When empty, the nodes share a key in the metadata of the stream
	// TIDEMARK_REVOCATIONS. A different key makes clients discard their stored positions.
	TagKey string `key:"tag_key" secret:"file" usage:"<file> with the key of account tags"`
}

// JWT is auth.jwt.*: JSON Web Tokens. One of the four sources of keys is required.
type JWT struct {
	// Source of the keys; set one of four. This file holds a secret for HS256, HS384 and HS512.
	SecretFile string `key:"secret_file" secret:"file" reload:"file" usage:"<file> with the secret of HS256, HS384 and HS512"`
	// File with public keys (PEM).
	PublicKeyFile string `key:"public_key_file" reload:"file" usage:"<file> with public keys (PEM)"`
	// File with a JWK Set.
	JWKSFile string `key:"jwks_file" reload:"file" usage:"<file> with a JWK Set"`
	// URL of a JWK Set. It is fetched again periodically, and when a token names an unknown key.
	JWKSURL string `key:"jwks_url" usage:"<url> of the issuer's JWK Set"`
	// Accepted algorithms. Empty accepts all that the keys are for.
	Algorithms []string `key:"algorithms" usage:"accept these <algorithms> only, by comma"`
	// Required value of the claim iss. Empty accepts any.
	Issuer string `key:"issuer" usage:"accept tokens of this <issuer> only"`
	// Names of which the claim aud must hold one. When empty, tokens with an audience are rejected, because
	// they are for another service; "*" accepts any.
	Audience []string `key:"audience" usage:"accept tokens for one of these <names>, by comma; * accepts any"`
	// Permitted difference between clocks.
	Leeway time.Duration `key:"leeway" default:"30s" min:"0s" usage:"allow for clocks that differ by this <duration>"`
	// Longest lifetime of a token, from iat to exp (from now to exp for a token without iat); 0s is
	// unlimited. An exp beyond 10^11 is always rejected: it is a time in milliseconds.
	MaxLifetime time.Duration `key:"max_lifetime" min:"0s" usage:"reject tokens that last longer than this <duration>; 0s is unlimited"`
	// Cookie that may hold the token, besides Authorization: Bearer.
	Cookie string `key:"cookie" usage:"accept the token in the cookie of this <name> too"`
	// Accepts the token in ?access_token= too. The logs of every proxy then contain it.
	Query bool `key:"query" usage:"accept the token in ?access_token= too"`
	// Variables of a feed's subjects, from claims: variable=path.
	Claims []string `key:"claims" default:"user=sub" usage:"set variables from claims: <variable=path>, by comma"`
	// Claim with a list of subjects that clients may request beyond those of the feed.
	WidenClaim string `key:"widen_claim" usage:"<claim> with subjects that clients may request beyond the feed's"`
	// Claim with a list of the only subjects that clients may read.
	NarrowClaim string `key:"narrow_claim" usage:"<claim> with the only subjects that clients may read"`
	// Claim with a list of subjects that clients may publish to.
	PublishClaim string `key:"publish_claim" usage:"<claim> with subjects that clients may publish to"`
	// Claim that grants access to the presence API (GET /connections) when it is true.
	PresenceClaim string `key:"presence_claim" usage:"<claim> that grants access to the presence API"`
}

// AuthHeader is auth.header.*: headers with an identity, trusted only from the gateways in Trusted.
type AuthHeader struct {
	// Header with the user.
	User string `key:"user" default:"X-User" usage:"<header> with the user, set by a gateway"`
	// Headers that set variables: variable=Header.
	Vars []string `key:"vars" usage:"set variables from headers: <variable=Header>, by comma"`
	// Header with the end of the grant, such as X-User-Expires: Unix seconds, or RFC 3339. The connection
	// is closed then, as for a token that expires. A request with a user and without this header is
	// rejected with 401, one with an invalid value with 400. Empty is for grants without an end.
	Expires string `key:"expires" usage:"<header> with the end of the grant, in Unix seconds or as RFC 3339"`
	// none uses the values of user and vars unchanged. percent decodes them, for gateways that write
	// alice%40example.com (or %C3%A9 for characters beyond ASCII).
	Encoding HeaderEncoding `key:"encoding" default:"none" values:"none,percent" usage:"<encoding> of the values of those headers: none or percent"`
	// Addresses or CIDRs of the gateways that set these headers, as peers of the TCP connection; headers of
	// other peers are ignored. The source header requires this list. A gateway must remove these headers
	// from the requests of clients. A gateway that names clients in X-Forwarded-For belongs in
	// http.trusted_proxies too.
	Trusted []string `key:"trusted" usage:"trust identity headers of these gateways: <addresses> or CIDRs, by comma"`
}

// HeaderEncoding is auth.header.encoding: the encoding of values in headers.
type HeaderEncoding string

// EncodingNone uses values unchanged; EncodingPercent decodes %2E and the like.
const (
	EncodingNone    HeaderEncoding = "none"
	EncodingPercent HeaderEncoding = "percent"
)

// Streams is streams.*: the definitions of streams.
type Streams struct {
	// Directory with additional stream definitions (*.json, as `nats stream info --json` writes them). A
	// definition with the name of a built-in stream replaces it.
	Dir string `key:"dir" usage:"load additional stream definitions from this <directory>"`
	// Copies of each stream in a cluster: 3 survives the loss of one server, 5 of two. 0 uses num_replicas
	// of each definition (1 for the built-in one).
	Replicas int `key:"replicas" min:"0" max:"5" usage:"keep this <number> of copies of each stream, 1 to 5; 0 uses the definitions"`
	// Size of each stream, such as 256MiB, instead of max_bytes of its definition (1GiB for the built-in
	// one). JetStream reserves that much: a smaller disk requires a smaller value. At least 1MiB; 0 uses the
	// definitions.
	MaxBytes Size `key:"max_bytes" usage:"keep up to this <size> of each stream; 0 uses the definitions"`
	// Missing streams are always created. A stream that differs from its definition is reported, and
	// changed only with true.
	Apply bool `key:"apply" usage:"change streams that differ from their definition"`
}

// Feed is feeds.NAME: one stream at some paths.
type Feed struct {
	Paths  []string `key:"paths"`
	Stream string   `key:"stream"`
	// Subjects of every connection. A token {name} is replaced by that variable of the identity; a subject
	// whose variable is missing is left out. Wildcards are not allowed.
	Subjects []string `key:"subjects"`
	// Additional subjects that ?subject= may request. Wildcards are allowed: * is any one token, > the rest.
	Allow []string `key:"allow"`
	// auto serves a client that resumes from the window where possible; consumer always reads the stream.
	Replay Replay `key:"replay" default:"auto" values:"auto,consumer"`
}

// Replay is feeds.NAME.replay: the source of events for a connection behind the end of the stream.
type Replay string

// ReplayAuto serves from the window what it still holds; ReplayConsumer always creates a consumer.
const (
	ReplayAuto     Replay = "auto"
	ReplayConsumer Replay = "consumer"
)

// SSE is sse.*: the times of connections. It converts to the options of the server.
type SSE struct {
	// How long clients wait before they reconnect, with a jitter of half of it. Every connection begins
	// with it (retry:), so it is also the interruption that the loss of a node causes.
	Retry time.Duration `key:"retry" default:"1s" min:"100ms" usage:"tell clients to reconnect after about this <duration>"`
	// The same for clients that a limit rejects, and after a revocation. Only their tidemark.close has it.
	RetryLater time.Duration `key:"retry_later" default:"20s" min:"100ms" usage:"tell clients that a limit rejects to reconnect after about this <duration>"`
	// Longest silence on a connection. Choose less than the shortest idle timeout of the proxies in between.
	Heartbeat time.Duration `key:"heartbeat" default:"15s" min:"1s" usage:"send a heartbeat after this <duration> of silence"`
	// Disconnects a client that accepts no bytes at all for this long. A slow client stays connected.
	WriteTimeout time.Duration `key:"write_timeout" default:"30s" min:"1s" usage:"disconnect a client that accepts no bytes for this <duration>"`
	// Closes a connection after this time, with jitter; the client reconnects and resumes. 0s is never.
	MaxAge time.Duration `key:"max_age" min:"0s" usage:"close connections after this <duration>; 0s is never"`
	// Closes a connection that had no event for this time. 0s is never.
	MaxIdle time.Duration `key:"max_idle" min:"0s" usage:"close connections without events for this <duration>; 0s is never"`
	// Period over which connections are closed when the service stops, spread evenly, so that the clients
	// do not all reconnect to the other nodes at once; at least 200 connections a second. 0s closes all at
	// once. Give the service this time, http.drain_delay, and twice http.shutdown_timeout to stop: 55 s
	// with the defaults.
	DrainPeriod time.Duration `key:"drain_period" default:"30s" min:"0s" usage:"close connections over this <duration> when the service stops"`
}

// Limits is limits.*: the limits of one node. 0 is unlimited, except for Connections, PerAddress, Sockets and
// ReplayBytes.
type Limits struct {
	AdmissionLimits
	Sockets SocketLimits `key:",inline"`
	// Bytes that all replays together may have requested from the stream, or read and not sent; further
	// replays wait in a queue. Keep it well below what the NATS server buffers for one connection
	// (max_pending, 64MB by default), or the server closes that connection, and below what the link to NATS
	// transfers in four seconds.
	ReplayBytes Size `key:"replay_bytes" default:"32MiB" min:"1MiB" usage:"most <bytes> that all replays together request or hold"`
}

// AdmissionLimits are the limits of connections and publishers. It converts to feedhttp.Limits.
type AdmissionLimits struct {
	// Connections of all clients. 0 is the limit of open files, less a reserve.
	Connections int `key:"connections" min:"0" usage:"greatest <number> of connections; 0 is the limit of open files"`
	// Connections of one user. 0 is unlimited.
	PerUser int `key:"connections_per_user" min:"0" usage:"greatest <number> of connections of one user; 0 is unlimited"`
	// Connections of one IP address (IPv6: of one /64), so that one address cannot use all. 0 is half of
	// all, or 13,000 where half is less and that leaves a quarter for others. Behind a proxy that is not in
	// http.trusted_proxies all clients have the address of the proxy.
	PerAddress int `key:"connections_per_address" min:"0" usage:"greatest <number> of connections of one IP address; 0 is half of all"`
	// Connections that catch up from the stream instead of the window. Each has a consumer.
	Replays int `key:"replays" default:"10000" min:"0" usage:"greatest <number> of connections that replay from the stream; 0 is unlimited"`
	// Subjects of one request with ?from=last, which reads the latest event of each; a request with more is
	// rejected with 400. JetStream stores no event during the lookup: 1 ms for 1,000 subjects, 100 ms for
	// 100,000. 0 is unlimited.
	LastSubjects int `key:"last_subjects" default:"10000" min:"0" usage:"greatest <number> of subjects that one ?from=last reads; 0 is unlimited"`
	// Connections that wait for ?from=last over more than 1,000 subjects. A node looks up at most 10,000
	// subjects at once, and pauses in between; other connections wait in a queue. Reconnects with ?until=end
	// count, too, while they wait for the latest events of their subjects. Connections beyond these three limits
	// are rejected with sse.retry_later. 0 is unlimited.
	LastWaiting int `key:"last_waiting" default:"64" min:"0" usage:"greatest <number> of connections that wait for ?from=last over many subjects; 0 is unlimited"`
	// The same of one user. 0 is unlimited.
	LastWaitingPerUser int `key:"last_waiting_per_user" default:"4" min:"0" usage:"greatest <number> of those of one user; 0 is unlimited"`
	// The same of one IP address. 0 is unlimited.
	LastWaitingPerAddress int `key:"last_waiting_per_address" default:"16" min:"0" usage:"greatest <number> of those of one IP address; 0 is unlimited"`
	// Connects of one IP address each second. The defaults let ten thousand clients behind one NAT or
	// proxy reconnect at the same time. 0 is unlimited.
	ConnectsPerSecond int `key:"connects_per_second" default:"2000" min:"0" usage:"greatest <number> of connects a second of one IP address; 0 is unlimited"`
	// Connects of one IP address at once, after a pause.
	ConnectsBurst int `key:"connects_burst" default:"20000" usage:"greatest <number> of connects of one IP address at once"`
	// Events that one IP address publishes over HTTP each second; a request beyond it is rejected with 429
	// and Retry-After. It does not limit publishing through NATS. 0 is unlimited.
	PublishesPerSecond int `key:"publishes_per_second" default:"1000" min:"0" usage:"greatest <number> of events a second that one IP address publishes; 0 is unlimited"`
	// Events that one IP address publishes at once, after a pause: at least publish.max_batch.
	PublishesBurst int `key:"publishes_burst" default:"5000" usage:"greatest <number> of events that one IP address publishes at once"`
}

// SocketLimits is limits.sockets and limits.sockets_per_address. It converts to server.SocketLimits.
type SocketLimits struct {
	// Sockets at http.addr, with a connection or without. 0 is the limit of open files, less a reserve. Beyond it
	// a new socket replaces a socket that is idle between requests; without an idle socket, the new socket is
	// closed.
	All int `key:"sockets" min:"0" usage:"greatest <number> of sockets; 0 is the limit of open files"`
	// Sockets of one IP address (IPv6: of one /64). 0 is half of all, or 14,000 where half is less and that
	// leaves a quarter for others. Addresses of http.trusted_proxies are exempt.
	PerAddress int `key:"sockets_per_address" min:"0" usage:"greatest <number> of sockets of one IP address; 0 is half of all"`
}

// Window is window.*: how many recent events are kept in memory, for each stream.
type Window struct {
	Events int  `key:"events" default:"65536" min:"1" usage:"keep this <number> of recent events in memory"`
	Bytes  Size `key:"bytes" default:"64MiB" min:"1" usage:"keep recent events up to this <size> in memory"`
}

// Publish is publish.*: publishing over HTTP.
type Publish struct {
	// Accepts events over HTTP. NATS clients can always publish. auto is true when keys or
	// auth.jwt.publish_claim authorize publishers, and with the key dev.
	Enabled Switch `key:"enabled" default:"auto" usage:"accept events over HTTP: <true>, false, or auto"`
	// File of API keys, one a line, as `tidemark token key` writes them: for publishing, and for the
	// presence API.
	Keys string `key:"keys" secret:"file" reload:"file" usage:"<file> of API keys for publishing and presence"`
	// Accepted subjects. feeds: those that a feed can deliver (its subjects and allow, with any values for
	// the variables). stream: all subjects of the streams of the feeds.
	Subjects PublishSubjects `key:"subjects" default:"feeds" values:"feeds,stream" usage:"accept the subjects of <feeds>, or all subjects of their streams (stream)"`
	// Largest body of one request, and largest event of an event stream, at most the 64MiB that NATS accepts. The stream and the NATS server have
	// limits of their own for one event including its headers: 1 MiB by default.
	MaxBytes Size `key:"max_bytes" default:"1MiB" min:"1" max:"64MiB" usage:"largest <size> of a request's body"`
	// Most events in one request.
	MaxBatch int `key:"max_batch" default:"1000" min:"1" usage:"greatest <number> of events in one request"`
	// An event stream that is published (Content-Type: text/event-stream) ends when neither an event nor a
	// comment has arrived for this time. Its subject stays open.
	IdleTimeout time.Duration `key:"idle_timeout" default:"2m" min:"1s" max:"1h" usage:"end an event stream that is published after this <duration> without an event"`
}

// PublishSubjects is publish.subjects: the subjects of events over HTTP.
type PublishSubjects string

// PublishFeeds accepts the subjects that a feed can deliver; PublishStream accepts all subjects of the
// streams of the feeds.
const (
	PublishFeeds  PublishSubjects = "feeds"
	PublishStream PublishSubjects = "stream"
)

// Console is console.*: the page for operators at /.
type Console struct {
	// Serves a page at / that follows a feed, publishes, and shows the state of the node, with the rights of
	// the person who opens it. auto serves it where http.addr is on loopback.
	Enabled Switch `key:"enabled" default:"auto" usage:"serve the console page at /: <true>, false, or auto"`
}

// Docs is docs.*: the description of the API.
type Docs struct {
	// Serves the description of the API: OpenAPI at /openapi.json, and Swagger UI at /docs, without
	// resources of other sites. auto serves both on loopback only.
	Enabled Switch `key:"enabled" default:"auto" usage:"serve /openapi.json and /docs: <true>, false, or auto"`
}

// Node is node.*: this node among others.
type Node struct {
	// Letters, digits, _ and -, unique among the running nodes. Empty is the name of the host and a few
	// random characters.
	Name string `key:"name" usage:"<name> of this node; empty for the host name and a few random characters"`
	// Announces the node as a NATS micro service: `nats micro ls`, `nats req tidemark.status ''`. Where
	// NATS does not permit it, the node logs that once and works without.
	Micro bool `key:"micro" default:"true" usage:"announce the node as a NATS micro service"`
}

// Presence is presence.*: the connections of all nodes. TTL has a minimum because a node refreshes its entries
// three times in it.
type Presence struct {
	Enabled bool `key:"enabled" usage:"share the connections of all nodes"`
	// Key-value bucket, the same on all nodes. A missing bucket is created, in memory.
	Bucket string `key:"bucket" default:"TIDEMARK_PRESENCE" usage:"key-value <bucket> of presence"`
	// Entries of a lost node expire after this time. An existing bucket keeps its own.
	TTL time.Duration `key:"ttl" default:"1m" min:"5s" usage:"expire the entries of a lost node after this <duration>"`
	// Copies of a bucket that is created. 0 is as many as the streams of the feeds have.
	Replicas int `key:"replicas" min:"0" max:"5" usage:"<number> of copies of the bucket; 0 is that of the feeds' streams"`
	// Publishes each connect and disconnect to SUBJECT.connected.USER and SUBJECT.disconnected.USER, with
	// the user as one encoded token, and to SUBJECT.connected and SUBJECT.disconnected for a connection
	// without a user. SUBJECT is, for example, tidemark.presence. Empty publishes nothing.
	Events string `key:"events" usage:"publish connects and disconnects below this <subject>"`
}

// Traces is traces.*: OpenTelemetry, by OTLP over HTTP. Rate has a maximum because a node holds some 2 KiB for
// six seconds for each delivery that it traces.
type Traces struct {
	// URL of an OpenTelemetry collector for OTLP over HTTP, such as http://127.0.0.1:4318/v1/traces. When
	// empty, the variable OTEL_EXPORTER_OTLP_TRACES_ENDPOINT applies, else OTEL_EXPORTER_OTLP_ENDPOINT with
	// /v1/traces appended; without them traces are off. Spans cover publishes over HTTP, the store, the
	// tail and the delivery of an event on each node (one span, with counts), and replays. A traceparent is
	// continued, also that of a message. OTEL_EXPORTER_OTLP_HEADERS sets headers such as a token.
	Endpoint string `key:"endpoint" usage:"send traces to this OTLP <url>, such as http://127.0.0.1:4318/v1/traces"`
	// Share, 0 to 1, of publishes over HTTP and replays that are traced where the caller has not decided
	// (traceparent).
	Sample Share `key:"sample" default:"0.01" usage:"trace this <share> of publishes and replays where the caller has not decided"`
	// Most traces, 1 to 10000, that a node starts or continues each second, including those that callers
	// decided: any client may request a trace. Each has at most two spans. Further traces are only counted.
	Rate int `key:"rate" default:"100" min:"1" max:"10000" usage:"greatest <number> of traces a second"`
}

// Log is log.*.
type Log struct {
	// Least severe level to log. At run time PUT /admin/log/level changes it too.
	Level string `key:"level" default:"info" values:"trace,debug,info,warn,error" reload:"value" usage:"least <level> to log: trace, debug, info, warn, error"`
	// json, console, or auto: console on a terminal, else json.
	Format string `key:"format" default:"auto" values:"auto,json,console" usage:"log <format>: auto, json, console"`
	// How users are written, also within subjects and errors: plain; hash (the same user is the same 16
	// characters; with the key an operator can compute them); off (not at all). Addresses are always
	// written.
	Users string `key:"users" default:"plain" values:"plain,hash,off" usage:"write users <plain>, as a hash, or off"`
	// File with the key of hash: at least 16 bytes, the same on all nodes whose lines are compared. When
	// empty, each start creates a key: the hashes of one run match.
	UsersKey string `key:"users_key" secret:"file" usage:"<file> with the key of log.users hash"`
}

// Default returns the configuration without file, environment and flags.
func Default() Config {
	var c Config
	configKeys.setDefaults(&c)
	c.Feeds = defaultFeeds()
	return c
}

var configKeys = keysOf[Config]()
