package config

import "strings"

// EnvPrefix begins the environment variables of all keys.
const EnvPrefix = "TIDEMARK_"

// key ties a scalar setting's name to its field. The table is the one list of what can be
// set; file, environment, flags and Print all follow it.
type key struct {
	name   string
	usage  string // the word in back quotes stands for the value in --help
	secret bool
	field  func(*Config) any // a pointer, of a type that assign knows
}

func (k key) env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(k.name, ".", "_"))
}

var keys = []key{
	{name: "http.addr", usage: "serve HTTP at `host:port`", field: func(c *Config) any { return &c.HTTP.Addr }},
	{name: "http.tls.cert", usage: "serve HTTPS with this certificate (PEM `file`)", field: func(c *Config) any { return &c.HTTP.TLS.Cert }},
	{name: "http.tls.key", usage: "key of the certificate (PEM `file`)", field: func(c *Config) any { return &c.HTTP.TLS.Key }},
	{name: "http.cors.origins", usage: "`origins` whose pages may read, by comma", field: func(c *Config) any { return &c.HTTP.CORS.Origins }},
	{name: "http.cors.credentials", usage: "let those pages send cookies and Authorization", field: func(c *Config) any { return &c.HTTP.CORS.Credentials }},
	{name: "http.cors.headers", usage: "request `headers` that those pages may send besides the known ones, by comma", field: func(c *Config) any { return &c.HTTP.CORS.Headers }},
	{name: "http.hosts", usage: "serve requests for these host `names` alone, by comma", field: func(c *Config) any { return &c.HTTP.Hosts }},
	{name: "http.base_path", usage: "serve everything below this `path`", field: func(c *Config) any { return &c.HTTP.BasePath }},
	{name: "http.trusted_proxies", usage: "proxies whose X-Forwarded-For names the client: `addresses` or CIDRs, by comma", field: func(c *Config) any { return &c.HTTP.TrustedProxies }},
	{name: "http.shutdown_timeout", usage: "wait this `duration` for requests to end", field: func(c *Config) any { return &c.HTTP.ShutdownTimeout }},
	{name: "http.drain_delay", usage: "report 503 at /readyz for this `duration` before connections are closed; auto is 5s, and 0s at a terminal", field: func(c *Config) any { return &c.HTTP.DrainDelay }},

	{name: "admin.addr", usage: "serve operators at `host:port`; auto, or off", field: func(c *Config) any { return &c.Admin.Addr }},

	{name: "nats.url", usage: "use the NATS server at this `url` instead of the embedded one", field: func(c *Config) any { return &c.NATS.URL }},
	{name: "nats.name", usage: "`name` of the NATS connection", field: func(c *Config) any { return &c.NATS.Name }},
	{name: "nats.credentials", usage: "NATS credentials `file`", field: func(c *Config) any { return &c.NATS.Credentials }},
	{name: "nats.nkey", usage: "NATS nkey seed `file`", field: func(c *Config) any { return &c.NATS.NKey }},
	{name: "nats.user", usage: "NATS `user`", field: func(c *Config) any { return &c.NATS.User }},
	{name: "nats.password", secret: true, field: func(c *Config) any { return &c.NATS.Password }},
	{name: "nats.token", secret: true, field: func(c *Config) any { return &c.NATS.Token }},
	{name: "nats.context", usage: "connect as this `context` of the nats command does; selected is the one that it has selected", field: func(c *Config) any { return &c.NATS.Context }},
	{name: "nats.domain", usage: "JetStream `domain` of the streams", field: func(c *Config) any { return &c.NATS.Domain }},
	{name: "nats.api_prefix", usage: "`prefix` of JetStream's API, in place of a domain", field: func(c *Config) any { return &c.NATS.APIPrefix }},
	{name: "nats.inbox_prefix", usage: "`prefix` of inboxes, in place of _INBOX", field: func(c *Config) any { return &c.NATS.InboxPrefix }},
	{name: "nats.tls.ca", usage: "trust these authorities for NATS (PEM `file`)", field: func(c *Config) any { return &c.NATS.TLS.CA }},
	{name: "nats.tls.cert", usage: "client certificate for NATS (PEM `file`)", field: func(c *Config) any { return &c.NATS.TLS.Cert }},
	{name: "nats.tls.key", usage: "key of the client certificate (PEM `file`)", field: func(c *Config) any { return &c.NATS.TLS.Key }},
	{name: "nats.tls.handshake_first", usage: "start TLS before the NATS server sends its INFO", field: func(c *Config) any { return &c.NATS.TLS.HandshakeFirst }},
	{name: "nats.embedded.addr", usage: "embedded server: accept NATS clients at `host:port`; empty is that of nats.embedded.config, else 127.0.0.1:4222", field: func(c *Config) any { return &c.NATS.Embedded.Addr }},
	{name: "nats.embedded.dir", usage: "embedded server: store streams in this `directory`", field: func(c *Config) any { return &c.NATS.Embedded.Dir }},
	{name: "nats.embedded.sync", usage: "embedded server: sync to disk `always` or at an interval", field: func(c *Config) any { return &c.NATS.Embedded.Sync }},
	{name: "nats.embedded.config", usage: "embedded server: load this nats-server configuration `file` first", field: func(c *Config) any { return &c.NATS.Embedded.Config }},
	{name: "nats.embedded.account", usage: "embedded server: `account` of nats.embedded.config that the node uses and that has the streams", field: func(c *Config) any { return &c.NATS.Embedded.Account }},

	{name: "dev", usage: "try things out on this machine: ?user= names the user, publishing needs no key", field: func(c *Config) any { return &c.Dev }},
	{name: "insecure", usage: "let everybody in beyond loopback, too", field: func(c *Config) any { return &c.Insecure }},
	{name: "auth.identity", usage: "ask these `sources` in turn, by comma: jwt, header, dev, anonymous", field: func(c *Config) any { return &c.Auth.Identity }},
	{name: "auth.jwt.secret_file", usage: "`file` with the secret of HS256, HS384 and HS512", field: func(c *Config) any { return &c.Auth.JWT.SecretFile }},
	{name: "auth.jwt.public_key_file", usage: "`file` with public keys (PEM)", field: func(c *Config) any { return &c.Auth.JWT.PublicKeyFile }},
	{name: "auth.jwt.jwks_file", usage: "`file` with a JWK Set", field: func(c *Config) any { return &c.Auth.JWT.JWKSFile }},
	{name: "auth.jwt.jwks_url", usage: "`url` of the issuer's JWK Set", field: func(c *Config) any { return &c.Auth.JWT.JWKSURL }},
	{name: "auth.jwt.algorithms", usage: "accept these `algorithms` alone, by comma", field: func(c *Config) any { return &c.Auth.JWT.Algorithms }},
	{name: "auth.jwt.issuer", usage: "accept tokens of this `issuer` alone", field: func(c *Config) any { return &c.Auth.JWT.Issuer }},
	{name: "auth.jwt.audience", usage: "accept tokens for one of these `names`, by comma; * takes any", field: func(c *Config) any { return &c.Auth.JWT.Audience }},
	{name: "auth.jwt.leeway", usage: "allow for clocks that differ by this `duration`", field: func(c *Config) any { return &c.Auth.JWT.Leeway }},
	{name: "auth.jwt.max_lifetime", usage: "refuse tokens that last longer than this `duration`; 0s takes any", field: func(c *Config) any { return &c.Auth.JWT.MaxLifetime }},
	{name: "auth.jwt.cookie", usage: "take the token from the cookie of this `name`, too", field: func(c *Config) any { return &c.Auth.JWT.Cookie }},
	{name: "auth.jwt.query", usage: "take the token from ?access_token=, too", field: func(c *Config) any { return &c.Auth.JWT.Query }},
	{name: "auth.jwt.claims", usage: "fill variables from claims: `variable=path`, by comma", field: func(c *Config) any { return &c.Auth.JWT.Claims }},
	{name: "auth.jwt.widen_claim", usage: "`claim` with subjects that may be asked for beyond the feed's", field: func(c *Config) any { return &c.Auth.JWT.WidenClaim }},
	{name: "auth.jwt.narrow_claim", usage: "`claim` with the only subjects that may be read", field: func(c *Config) any { return &c.Auth.JWT.NarrowClaim }},
	{name: "auth.jwt.publish_claim", usage: "`claim` with subjects that may be published to", field: func(c *Config) any { return &c.Auth.JWT.PublishClaim }},
	{name: "auth.jwt.presence_claim", usage: "`claim` that is true for who may read who is connected", field: func(c *Config) any { return &c.Auth.JWT.PresenceClaim }},
	{name: "auth.header.user", usage: "`header` with the user, set by a gateway", field: func(c *Config) any { return &c.Auth.Header.User }},
	{name: "auth.header.vars", usage: "fill variables from headers: `variable=Header`, by comma", field: func(c *Config) any { return &c.Auth.Header.Vars }},
	{name: "auth.header.expires", usage: "`header` with the end of the grant, in Unix seconds or as RFC 3339", field: func(c *Config) any { return &c.Auth.Header.Expires }},
	{name: "auth.header.encoding", usage: "`encoding` of the values of those headers: none or percent", field: func(c *Config) any { return (*string)(&c.Auth.Header.Encoding) }},
	{name: "auth.header.trusted", usage: "gateways whose headers name the user: `addresses` or CIDRs, by comma", field: func(c *Config) any { return &c.Auth.Header.Trusted }},
	{name: "auth.tag_key", usage: "`file` with the key of the tags by which clients tell accounts apart", field: func(c *Config) any { return &c.Auth.TagKey }},

	{name: "streams.dir", usage: "more stream definitions in this `directory`", field: func(c *Config) any { return &c.Streams.Dir }},
	{name: "streams.replicas", usage: "keep this `number` of copies of each stream, 1 to 5; 0 is what definitions say", field: func(c *Config) any { return &c.Streams.Replicas }},
	{name: "streams.max_bytes", usage: "keep up to this `size` of each stream; 0 is what definitions say", field: func(c *Config) any { return &c.Streams.MaxBytes }},
	{name: "streams.apply", usage: "change streams that differ from their definition", field: func(c *Config) any { return &c.Streams.Apply }},

	{name: "sse.retry", usage: "clients reconnect after about this `duration`", field: func(c *Config) any { return &c.SSE.Retry }},
	{name: "sse.retry_later", usage: "clients sent away for a limit come back after about this `duration`", field: func(c *Config) any { return &c.SSE.RetryLater }},
	{name: "sse.heartbeat", usage: "longest silence on a connection (`duration`)", field: func(c *Config) any { return &c.SSE.Heartbeat }},
	{name: "sse.write_timeout", usage: "cut off a client that takes nothing for this `duration`", field: func(c *Config) any { return &c.SSE.WriteTimeout }},
	{name: "sse.max_age", usage: "end streams after this `duration`; 0s never", field: func(c *Config) any { return &c.SSE.MaxAge }},
	{name: "sse.drain_period", usage: "send clients away over this `duration` when the service stops", field: func(c *Config) any { return &c.SSE.DrainPeriod }},
	{name: "sse.max_idle", usage: "end streams without events for this `duration`; 0s never", field: func(c *Config) any { return &c.SSE.MaxIdle }},

	{name: "limits.streams", usage: "greatest `number` of streams; 0 is what open files allow", field: func(c *Config) any { return &c.Limits.Streams }},
	{name: "limits.per_user", usage: "greatest `number` of streams of one user; 0 is any", field: func(c *Config) any { return &c.Limits.PerUser }},
	{name: "limits.per_address", usage: "greatest `number` of streams of one IP address; 0 is half of all", field: func(c *Config) any { return &c.Limits.PerAddress }},
	{name: "limits.sockets", usage: "greatest `number` of sockets; 0 is what open files allow", field: func(c *Config) any { return &c.Sockets.All }},
	{name: "limits.sockets_per_address", usage: "greatest `number` of sockets of one IP address; 0 is half of all", field: func(c *Config) any { return &c.Sockets.PerAddress }},
	{name: "limits.replays", usage: "greatest `number` of streams that catch up from the log; 0 is any", field: func(c *Config) any { return &c.Limits.Replays }},
	{name: "limits.replay_bytes", usage: "most `bytes` that replays request or hold, all together", field: func(c *Config) any { return &c.Limits.ReplayBytes }},
	{name: "limits.last_subjects", usage: "greatest `number` of subjects that one ?from=last reads; 0 is any", field: func(c *Config) any { return &c.Limits.LastSubjects }},
	{name: "limits.last_waiting", usage: "greatest `number` of connections that wait for ?from=last over many subjects; 0 is any", field: func(c *Config) any { return &c.Limits.LastWaiting }},
	{name: "limits.last_waiting_per_user", usage: "greatest `number` of those of one user; 0 is any", field: func(c *Config) any { return &c.Limits.LastWaitingPerUser }},
	{name: "limits.last_waiting_per_address", usage: "greatest `number` of those of one IP address; 0 is any", field: func(c *Config) any { return &c.Limits.LastWaitingPerAddress }},
	{name: "limits.connects_per_second", usage: "greatest `number` of connects a second of one IP address; 0 is any", field: func(c *Config) any { return &c.Limits.ConnectsPerSecond }},
	{name: "limits.connects_burst", usage: "greatest `number` of connects of one IP address at once", field: func(c *Config) any { return &c.Limits.ConnectsBurst }},
	{name: "limits.publishes_per_second", usage: "greatest `number` of events a second that one IP address publishes; 0 is any", field: func(c *Config) any { return &c.Limits.PublishesPerSecond }},
	{name: "limits.publishes_burst", usage: "greatest `number` of events that one IP address publishes at once", field: func(c *Config) any { return &c.Limits.PublishesBurst }},

	{name: "window.events", usage: "keep this `number` of recent events in memory", field: func(c *Config) any { return &c.Window.Events }},
	{name: "window.bytes", usage: "keep recent events up to this `size` in memory", field: func(c *Config) any { return &c.Window.Bytes }},

	{name: "publish.enabled", usage: "take events by HTTP: `true`, false, or auto", field: func(c *Config) any { return &c.Publish.Enabled }},
	{name: "publish.keys", usage: "`file` of API keys for publishing and presence", field: func(c *Config) any { return &c.Publish.Keys }},
	{name: "publish.subjects", usage: "take events for the subjects of `feeds`, or for all of the feeds' streams (stream)", field: func(c *Config) any { return (*string)(&c.Publish.Subjects) }},
	{name: "publish.max_bytes", usage: "largest `size` of a request's body", field: func(c *Config) any { return &c.Publish.MaxBytes }},
	{name: "publish.max_batch", usage: "largest `number` of events in one request", field: func(c *Config) any { return &c.Publish.MaxBatch }},

	{name: "console.enabled", usage: "serve the console page at /: `true`, false, or auto", field: func(c *Config) any { return &c.Console.Enabled }},
	{name: "docs.enabled", usage: "serve /openapi.json and /docs: `true`, false, or auto", field: func(c *Config) any { return &c.Docs.Enabled }},

	{name: "node.name", usage: "`name` of this node; empty for the host's and a few random characters", field: func(c *Config) any { return &c.Node.Name }},
	{name: "node.micro", usage: "announce the node as a NATS micro service", field: func(c *Config) any { return &c.Node.Micro }},

	{name: "presence.enabled", usage: "tell over all nodes who is connected", field: func(c *Config) any { return &c.Presence.Enabled }},
	{name: "presence.bucket", usage: "key-value `bucket` for it", field: func(c *Config) any { return &c.Presence.Bucket }},
	{name: "presence.ttl", usage: "forget a node that is silent for this `duration`", field: func(c *Config) any { return &c.Presence.TTL }},
	{name: "presence.replicas", usage: "`number` of replicas of the bucket; 0 is what the feeds' streams have", field: func(c *Config) any { return &c.Presence.Replicas }},
	{name: "presence.events", usage: "publish connects and disconnects below this `subject`", field: func(c *Config) any { return &c.Presence.Events }},

	{name: "traces.endpoint", usage: "send traces to this OTLP `url`, such as http://127.0.0.1:4318/v1/traces", field: func(c *Config) any { return &c.Traces.Endpoint }},
	{name: "traces.sample", usage: "`share` of publishes and replays that are traced where the caller has not decided", field: func(c *Config) any { return &c.Traces.Sample }},
	{name: "traces.rate", usage: "`number` of traces a second at most, whoever decided", field: func(c *Config) any { return &c.Traces.Rate }},

	{name: "log.level", usage: "least `level` to log: trace, debug, info, warn, error", field: func(c *Config) any { return &c.Log.Level }},
	{name: "log.format", usage: "log `format`: auto, json, console", field: func(c *Config) any { return &c.Log.Format }},
	{name: "log.users", usage: "write users `plain`, as a hash, or off", field: func(c *Config) any { return &c.Log.Users }},
	{name: "log.users_key", usage: "`file` with the key of log.users hash", field: func(c *Config) any { return &c.Log.UsersKey }},
}

func keyNames() []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}
