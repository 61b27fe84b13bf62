package config

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/hostname"
)

// Validate reports every setting that cannot work, by key, without looking at files or
// the network. What Load returns is valid.
func (c Config) Validate() error {
	var p problems
	c.validate(&p, true)
	return p.err()
}

// validate leaves out for a command, which starts no server, how the node logs in to the embedded one.
func (c Config) validate(p *problems, serve bool) {
	c.HTTP.validate(p)
	c.Admin.validate(c.HTTP.Addr, p)
	c.NATS.validate(p, serve)
	validateFeeds(c.Feeds, p)
	c.validateAuth(p)
	c.Streams.validate(p)
	c.SSE.validate(p)
	c.Limits.validate(c.Publish.MaxBatch, p)
	c.Sockets.validate(p)
	atLeast(p, "window.events", c.Window.Events, 1)
	atLeast(p, "window.bytes", c.Window.Bytes, 1)
	oneOf(p, "publish.subjects", string(c.Publish.Subjects), string(PublishFeeds), string(PublishStream))
	atLeast(p, "publish.max_bytes", c.Publish.MaxBytes, 1)
	if c.Publish.MaxBytes > maxEvent {
		p.add("publish.max_bytes", "%s is more than the %s that NATS can take", c.Publish.MaxBytes, maxEvent)
	}
	atLeast(p, "publish.max_batch", c.Publish.MaxBatch, 1)
	c.Node.validate(p)
	c.Presence.validate(p)
	c.Traces.validate(p)
	c.Log.validate(p)
}

// maxEvent is nats-server's upper bound for max_payload.
const maxEvent = 64 * MiB

func (h HTTP) validate(p *problems) {
	checkAddr(p, "http.addr", h.Addr)
	for _, name := range h.Hosts {
		if err := hostname.Check(name); err != nil {
			p.add("http.hosts", "%w", err)
		}
	}
	checkBasePath(p, h.BasePath)
	for _, name := range h.CORS.Headers {
		if !isToken(name) {
			p.add("http.cors.headers", "%q is not the name of a header", name)
		}
	}
	h.TLS.validate(p, "http.tls")
	for _, origin := range h.CORS.Origins {
		checkOrigin(p, origin)
	}
	if h.CORS.Credentials && slices.Contains(h.CORS.Origins, "*") {
		p.add("http.cors.credentials", "browsers refuse credentials with the origin *; list the origins")
	}
	atLeastDuration(p, "http.shutdown_timeout", h.ShutdownTimeout, 0)
}

func (t TLSPair) validate(p *problems, key string) {
	switch {
	case t.Cert != "" && t.Key == "":
		p.add(key+".key", "it is missing; the certificate %s needs its key", t.Cert)
	case t.Cert == "" && t.Key != "":
		p.add(key+".cert", "it is missing; the key %s needs its certificate", t.Key)
	}
}

// checkBasePath takes plain segments alone, so that clients, proxies and routes read them alike.
func checkBasePath(p *problems, path string) {
	if path == "" {
		return
	}
	plain := strings.HasPrefix(path, "/")
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		plain = plain && part != "" && part != "." && part != ".." && !strings.ContainsAny(part, "?#%\\ :*")
	}
	if !plain {
		p.add("http.base_path", "%q is not a base path; write it with a leading slash and without a trailing one, such as /tidemark", path)
	}
}

// isToken reports whether a name has only the characters of a header name (RFC 9110, 5.6.2).
func isToken(name string) bool {
	return name != "" && strings.Trim(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

func checkOrigin(p *problems, origin string) {
	const key = "http.cors.origins"
	if origin == "*" {
		return
	}
	if strings.Contains(origin, "*") {
		p.add(key, "%q has a wildcard; list each origin, or * alone for any", origin)
		return
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
		p.add(key, "%q is not an origin; write scheme, host and port alone, such as https://app.example.com", origin)
	}
}

func (n NATS) validate(p *problems, serve bool) {
	n.TLS.validate(p, "nats.tls")
	n.checkLogin(p)
	n.checkJetStream(p)
	if n.Context != "" {
		return // Load has reported what keeps it from being used
	}
	if n.URL == "" {
		n.validateEmbedded(p, serve)
		if serve && n.Embedded.Config == "" {
			n.validateNoLogin(p)
		}
		return
	}
	for part := range strings.SplitSeq(n.URL, ",") {
		checkServerURL(p, strings.TrimSpace(part))
	}
}

// checkJetStream reports what would change the meaning of the subjects that these keys begin.
func (n NATS) checkJetStream(p *problems) {
	if n.Domain != "" && n.APIPrefix != "" {
		p.add("nats.api_prefix", "nats.domain is set too; keep one of them")
	}
	if n.Domain != "" && !isSubjectToken(n.Domain) {
		p.add("nats.domain", "%q is not the name of a JetStream domain, which has no dot, space or wildcard", n.Domain)
	}
	for _, s := range []setting{{"nats.api_prefix", strings.TrimSuffix(n.APIPrefix, ".")}, {"nats.inbox_prefix", n.InboxPrefix}} {
		for token := range strings.SplitSeq(s.value, ".") {
			if s.value != "" && !isSubjectToken(token) {
				p.add(s.key, "%q is not the beginning of a subject, which is tokens with dots between them, without spaces and wildcards", s.value)
				break
			}
		}
	}
}

func isSubjectToken(token string) bool {
	return token != "" && !strings.ContainsAny(token, " \t\r\n.*>")
}

// checkLogin: with two ways given, which one counts would depend on the server.
func (n NATS) checkLogin(p *problems) {
	var given []string
	for _, s := range []struct{ key, value string }{
		{"nats.credentials", n.Credentials}, {"nats.nkey", n.NKey}, {"nats.user", n.User}, {"nats.token", n.Token},
	} {
		if s.value != "" {
			given = append(given, s.key)
		}
	}
	if len(given) > 1 {
		p.add(given[1], "%s is set too; keep one way to log in", given[0])
	}
	if n.Password != "" && n.User == "" {
		p.add("nats.user", "it is missing; nats.password needs it")
	}
}

// checkServerURL does not repeat the URL: it may hold a password.
func checkServerURL(p *problems, s string) {
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		p.add("nats.url", "it must be one or more URLs by comma, such as nats://host:4222, with nats, tls, ws or wss")
	}
}

// maxReplicas is nats-server's.
const maxReplicas = 5

func (s Streams) validate(p *problems) {
	if s.Replicas < 0 || s.Replicas > maxReplicas {
		p.add("streams.replicas", "%d is no number of copies; it must be from 1 to %d, or 0 for what the definitions say", s.Replicas, maxReplicas)
	}
	if s.MaxBytes != 0 {
		atLeast(p, "streams.max_bytes", s.MaxBytes, MiB)
	}
}

func (s SSE) validate(p *problems) {
	atLeastDuration(p, "sse.retry", s.Retry, 100*time.Millisecond)
	atLeastDuration(p, "sse.retry_later", s.RetryLater, 100*time.Millisecond)
	atLeastDuration(p, "sse.heartbeat", s.Heartbeat, time.Second)
	atLeastDuration(p, "sse.write_timeout", s.WriteTimeout, time.Second)
	atLeastDuration(p, "sse.max_age", s.MaxAge, 0)
	atLeastDuration(p, "sse.max_idle", s.MaxIdle, 0)
	atLeastDuration(p, "sse.drain_period", s.DrainPeriod, 0)
}

func isAddr(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	return err == nil
}

func checkAddr(p *problems, key, addr string) {
	if !isAddr(addr) {
		p.add(key, "%q is not an address; write host:port with a port from 0 to 65535, such as 127.0.0.1:8080", addr)
	}
}

func atLeast[N int | Size](p *problems, key string, value, least N) {
	if value < least {
		p.add(key, "%v is too little; it must be at least %v", value, least)
	}
}

func atLeastDuration(p *problems, key string, value, least time.Duration) {
	if value < least {
		p.add(key, "%s is too short; it must be at least %s", value, least)
	}
}

func oneOf(p *problems, key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(key, "%q is not known; write one of %s", value, strings.Join(allowed, ", "))
	}
}
