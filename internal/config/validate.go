package config

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark/tidemark/internal/hostname"
	"github.com/tidemark/tidemark/internal/presence"
)

// Validate reports all invalid settings, by key, without access to files or the network. Load
// returns valid configurations only.
func (c Config) Validate() error {
	var p problems
	c.validate(&p, true)
	return p.err()
}

// validate skips the login to the embedded server for a command, which starts no server.
func (c Config) validate(p *problems, serve bool) {
	configKeys.check(&c, p)
	c.HTTP.validate(p)
	c.Admin.validate(c.HTTP.Addr, p)
	c.NATS.validate(p, serve)
	validateFeeds(c.Feeds, p)
	c.validateAuth(p)
	c.Streams.validate(p)
	c.Limits.validate(c.Publish.MaxBatch, p)
	c.Node.validate(p)
	c.Presence.validate(p)
	c.Traces.validate(p)
	c.Log.validate(p)
}

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
	h.validateTLS(p)
	for _, origin := range h.CORS.Origins {
		checkOrigin(p, origin)
	}
	if h.CORS.Credentials && slices.Contains(h.CORS.Origins, "*") {
		p.add("http.cors.credentials", "browsers reject credentials with the origin *; list the origins")
	}
}

func (h HTTP) validateTLS(p *problems) {
	checkPair(p, "http.tls", h.TLS.Cert, h.TLS.Key)
	if h.TLS.TicketKeys != "" && !h.TLS.Enabled() {
		p.add("http.tls.ticket_keys", "it has no effect without TLS; set http.tls.cert and http.tls.key, or http.tls.self_signed, or remove this")
	}
	if !h.TLS.SelfSigned {
		return
	}
	if h.TLS.Cert != "" || h.TLS.Key != "" {
		p.add("http.tls.self_signed", "http.tls.cert or http.tls.key is set too; keep the files, or this")
	}
	if isAddr(h.Addr) && !onLoopback(h.Addr) {
		p.add("http.tls.self_signed", "other machines can reach %s, and their clients cannot verify this certificate; set http.addr to an address on loopback, or set http.tls.cert and http.tls.key instead", h.Addr)
	}
}

// checkPair reports a certificate without its key, and a key without its certificate.
func checkPair(p *problems, section, cert, key string) {
	switch {
	case cert != "" && key == "":
		p.add(section+".key", "it is missing; the certificate %s requires its key", cert)
	case cert == "" && key != "":
		p.add(section+".cert", "it is missing; the key %s requires its certificate", key)
	}
}

// checkBasePath accepts plain segments only, which clients, proxies and routes interpret alike.
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
		p.add(key, "%q has a wildcard; list each origin, or only * for any", origin)
		return
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin {
		p.add(key, "%q is not an origin; write scheme, host and port only, such as https://app.example.com", origin)
	}
}

func (n NATS) validate(p *problems, serve bool) {
	checkPair(p, "nats.tls", n.TLS.Cert, n.TLS.Key)
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

// checkJetStream reports values that would change the meaning of the subjects that they prefix.
func (n NATS) checkJetStream(p *problems) {
	if n.Domain != "" && n.APIPrefix != "" {
		p.add("nats.api_prefix", "nats.domain is set too; keep one of them")
	}
	if n.Domain != "" && !isSubjectToken(n.Domain) {
		p.add("nats.domain", "%q is not a name of a JetStream domain; write it without dots, spaces and wildcards", n.Domain)
	}
	for _, s := range []setting{{"nats.api_prefix", strings.TrimSuffix(n.APIPrefix, ".")}, {"nats.inbox_prefix", n.InboxPrefix}} {
		for token := range strings.SplitSeq(s.value, ".") {
			if s.value != "" && !isSubjectToken(token) {
				p.add(s.key, "%q is not a prefix of subjects; write tokens with dots between them, without spaces and wildcards", s.value)
				break
			}
		}
	}
}

func isSubjectToken(token string) bool {
	return token != "" && !strings.ContainsAny(token, " \t\r\n.*>")
}

// checkLogin rejects several logins, because the server would decide which one applies.
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
		p.add(given[1], "%s is set too; keep one login", given[0])
	}
	if n.Password != "" && n.User == "" {
		p.add("nats.user", "it is missing; nats.password requires it")
	}
}

// checkServerURL does not repeat the URL, which may contain a password.
func checkServerURL(p *problems, s string) {
	if !strings.Contains(s, "://") {
		s = "nats://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
		p.add("nats.url", "it must be one or more URLs by comma, such as nats://host:4222, with nats, tls, ws or wss")
	}
}

func (s Streams) validate(p *problems) {
	if s.MaxBytes != 0 && s.MaxBytes < MiB {
		p.add("streams.max_bytes", "%v is too little; it must be at least %v, or 0 for the definitions", s.MaxBytes, MiB)
	}
}

func (l Limits) validate(maxBatch int, p *problems) {
	if l.ConnectsPerSecond > 0 && l.ConnectsBurst < 1 {
		p.add("limits.connects_burst", "%d is too little; it must be at least 1", l.ConnectsBurst)
	}
	if l.PublishesPerSecond > 0 && l.PublishesBurst < max(maxBatch, 1) {
		p.add("limits.publishes_burst", "%d is less than the %d events of publish.max_batch; raise it, or lower publish.max_batch", l.PublishesBurst, max(maxBatch, 1))
	}
}

func (n Node) validate(p *problems) {
	if n.Name == "" {
		return
	}
	if err := presence.CheckNode(n.Name); err != nil {
		p.add("node.name", "%w", err)
	}
}

func (pr Presence) validate(p *problems) {
	if presence.CheckNode(pr.Bucket) != nil { // the same characters
		p.add("presence.bucket", "%q is not a name of a bucket; write 1 to 64 of the characters a-z, A-Z, 0-9, _ and -", pr.Bucket)
	}
	if pr.Events == "" {
		return
	}
	if err := presence.CheckPrefix(pr.Events); err != nil {
		p.add("presence.events", "%w", err)
	}
	if !pr.Enabled {
		p.add("presence.events", "it has no effect, because presence.enabled is false; set both, or remove this")
	}
}

func (t Traces) validate(p *problems) {
	if t.Endpoint == "" {
		return
	}
	u, err := url.Parse(t.Endpoint)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Path == "", u.Path == "/":
		p.add("traces.endpoint", "it is not the URL of a collector with its path; write one such as http://127.0.0.1:4318/v1/traces")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		p.add("traces.endpoint", "a user, a query or a fragment would not be sent; set a header in the variable OTEL_EXPORTER_OTLP_HEADERS")
	}
}

func (l Log) validate(p *problems) {
	if l.UsersKey != "" && l.Users != "hash" {
		p.add("log.users_key", "it has no effect, because log.users is not hash; set both, or remove this")
	}
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
