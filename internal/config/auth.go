package config

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/netaddr"
)

// OnLoopback reports whether http.addr can be reached from this machine alone.
func (c Config) OnLoopback() bool { return onLoopback(c.HTTP.Addr) }

func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// PublishNeedsIdentity reports whether there is something that says who may publish.
func (c Config) PublishNeedsIdentity() bool {
	return c.Publish.Keys != "" || c.hasSource("jwt") && c.Auth.JWT.PublishClaim != ""
}

// PublishEnabled resolves publish.enabled. auto is off unless something says who may publish: a
// loopback address does not, since a proxy on this machine may pass everybody on.
func (c Config) PublishEnabled() bool {
	if c.Publish.Enabled == Auto {
		return c.Dev || c.PublishNeedsIdentity()
	}
	return c.Publish.Enabled == On
}

// ConsoleEnabled resolves console.enabled. auto shows strangers nothing.
func (c Config) ConsoleEnabled() bool {
	if c.Console.Enabled == Auto {
		return c.OnLoopback()
	}
	return c.Console.Enabled == On
}

// DocsEnabled resolves docs.enabled.
func (c Config) DocsEnabled() bool {
	return c.Docs.Enabled == On || c.Docs.Enabled == Auto && c.OnLoopback()
}

func (c Config) hasSource(name string) bool { return slices.Contains(c.Auth.Identity, name) }

// validateAuth keeps a node from being open by mistake.
func (c Config) validateAuth(p *problems) {
	for i, source := range c.Auth.Identity {
		oneOf(p, "auth.identity", source, "jwt", "header", "dev", "anonymous")
		if source == "anonymous" && i != len(c.Auth.Identity)-1 {
			p.add("auth.identity", "anonymous takes everybody; what stands behind it is never asked")
		}
	}
	c.validateReach(p)
	c.validateStoreReach(p)
	c.Auth.JWT.validate(p, c.hasSource("jwt"))
	c.Auth.Header.validate(p, c.hasSource("header"))
	if _, err := c.HTTP.Proxies(); err != nil {
		p.add("http.trusted_proxies", "%v", err)
	}
}

// validateStoreReach keeps an embedded NATS server without a login from being open by mistake:
// a client of it reads and publishes everything, and ends any connection by a revocation. Whether a
// file of nats.embedded.config has a login is seen when it is read.
func (c Config) validateStoreReach(p *problems) {
	e := c.NATS.Embedded
	if c.NATS.URL != "" || c.Insecure || len(e.Users) > 0 || e.Config != "" || !isAddr(e.Addr) || onLoopback(e.Addr) {
		return
	}
	p.add("nats.embedded.addr", "%s can be reached from other machines, and the embedded server has no login; set nats.embedded.users or nats.embedded.config, keep it on loopback, use a NATS server with users by nats.url, or start with --insecure", e.Addr)
}

// validateReach compares who can connect with who would be let in.
func (c Config) validateReach(p *problems) {
	if _, _, err := net.SplitHostPort(c.HTTP.Addr); err != nil {
		return // what is not an address is reported elsewhere
	}
	if c.hasSource("dev") && !c.Dev {
		p.add("auth.identity", "the source dev trusts ?user=, which is for trying things out; add --dev, or drop it")
	}
	if c.Dev && !c.OnLoopback() {
		p.add("dev", "it trusts every program that reaches %s, which others can; use an http.addr on loopback, or drop dev and set auth.identity", c.HTTP.Addr)
	}
	if c.Insecure {
		return
	}
	if c.Publish.Enabled == On && !c.Dev && !c.PublishNeedsIdentity() {
		p.add("publish.enabled", "everybody who reaches %s could publish: set publish.keys or auth.jwt.publish_claim, or start with --dev to try it on this machine, or with --insecure", c.HTTP.Addr)
	}
	if c.OnLoopback() {
		return
	}
	if len(c.Auth.Identity) == 0 {
		p.add("auth.identity", "%s can be reached from other machines, and nothing says who is calling: set jwt or header (or anonymous, if everybody may read what needs no identity), or start with --insecure", c.HTTP.Addr)
	}
}

func (j JWT) validate(p *problems, used bool) {
	given := 0
	for _, place := range []string{j.SecretFile, j.PublicKeyFile, j.JWKSFile, j.JWKSURL} {
		if place != "" {
			given++
		}
	}
	switch {
	case used && given != 1:
		p.add("auth.jwt", "%d places of keys are set; set one of secret_file, public_key_file, jwks_file and jwks_url", given)
	case !used && given > 0:
		p.add("auth.identity", "auth.jwt has keys, and jwt is not among the sources; add it, or drop the keys")
	}
	for _, pair := range j.Claims {
		checkPair(p, "auth.jwt.claims", pair, "city=address.city")
	}
	atLeastDuration(p, "auth.jwt.leeway", j.Leeway, 0)
	atLeastDuration(p, "auth.jwt.max_lifetime", j.MaxLifetime, 0)
}

// validate checks auth.header.*. An empty list of gateways is an error where headers are used: no
// address is a gateway until an operator says so, a proxy that only forwards addresses neither.
func (h AuthHeader) validate(p *problems, used bool) {
	oneOf(p, "auth.header.encoding", string(h.Encoding), string(EncodingNone), string(EncodingPercent))
	for _, pair := range h.Vars {
		checkPair(p, "auth.header.vars", pair, "city=X-City")
	}
	if used && len(h.Trusted) == 0 {
		p.add("auth.header.trusted", "it is empty, so that the headers would always be ignored; name the addresses of the gateway that sets them, such as 10.0.0.7 (http.trusted_proxies does not count here)")
	}
	if _, err := h.Gateways(); err != nil {
		p.add("auth.header.trusted", "%v", err)
	}
	h.validateNames(p)
}

// validateNames refuses names that no header can have, and one header for two purposes.
func (h AuthHeader) validateNames(p *problems) {
	vars := Pairs(h.Vars)
	names := []struct{ key, name string }{{"auth.header.user", h.User}, {"auth.header.expires", h.Expires}}
	for _, variable := range slices.Sorted(maps.Keys(vars)) {
		names = append(names, struct{ key, name string }{"auth.header.vars", vars[variable]})
	}
	for _, n := range names {
		switch {
		case n.name == "":
		case !isHeaderName(n.name):
			p.add(n.key, "%q is not the name of a header; write it like X-User", n.name)
		case n.key != "auth.header.expires" && strings.EqualFold(n.name, h.Expires):
			p.add("auth.header.expires", "%s has the end of the grant and a value of the identity (%s); use two headers", n.name, n.key)
		}
	}
}

// isHeaderName reports whether a name has the characters of an HTTP token (RFC 9110, section 5.6.2).
func isHeaderName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) < 0
}

func checkPair(p *problems, key, pair, example string) {
	if name, value, ok := strings.Cut(pair, "="); !ok || name == "" || value == "" {
		p.add(key, "%q is no pair; write it like %s", pair, example)
	}
}

// Pairs reads a list of name=value.
func Pairs(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, pair := range list {
		name, value, _ := strings.Cut(pair, "=")
		m[name] = value
	}
	return m
}

// Proxies reads http.trusted_proxies.
func (h HTTP) Proxies() ([]netip.Prefix, error) { return netaddr.ParsePrefixes(h.TrustedProxies...) }

// Gateways reads auth.header.trusted.
func (h AuthHeader) Gateways() ([]netip.Prefix, error) { return netaddr.ParsePrefixes(h.Trusted...) }
