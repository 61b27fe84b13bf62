package config

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/netaddr"
)

// OnLoopback reports whether only this machine can reach http.addr.
func (c Config) OnLoopback() bool { return onLoopback(c.HTTP.Addr) }

func onLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// PublishNeedsIdentity reports whether API keys or a claim authorize publishers.
func (c Config) PublishNeedsIdentity() bool {
	return c.Publish.Keys != "" || c.hasSource("jwt") && c.Auth.JWT.PublishClaim != ""
}

// PublishEnabled resolves publish.enabled. auto is off unless API keys or a claim authorize publishers. A
// loopback address is not enough, because a proxy on this machine may forward requests of any client.
func (c Config) PublishEnabled() bool {
	if c.Publish.Enabled == Auto {
		return c.Dev || c.PublishNeedsIdentity()
	}
	return c.Publish.Enabled == On
}

// ConsoleEnabled resolves console.enabled. auto is for this machine only.
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

// validateAuth prevents nodes that are open by mistake.
func (c Config) validateAuth(p *problems) {
	for i, source := range c.Auth.Identity {
		if source == "anonymous" && i != len(c.Auth.Identity)-1 {
			p.add("auth.identity", "anonymous accepts every request, so the sources after it are never used; move it to the end")
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

// validateStoreReach prevents an embedded NATS server that is open by mistake: without a login its clients
// can read and publish everything, and close any connection by a revocation. The login of the file
// nats.embedded.config is checked when the file is read.
func (c Config) validateStoreReach(p *problems) {
	e := c.NATS.Embedded
	if c.NATS.URL != "" || c.Insecure || len(e.Users) > 0 || e.Config != "" || !isAddr(e.Addr) || onLoopback(e.Addr) {
		return
	}
	p.add("nats.embedded.addr", "other machines can reach %s, and the embedded server has no login; set nats.embedded.users or nats.embedded.config, use an address on loopback, set nats.url to a NATS server with users, or start with --insecure", e.Addr)
}

// validateReach compares the machines that can connect with the authentication of clients.
func (c Config) validateReach(p *problems) {
	if _, _, err := net.SplitHostPort(c.HTTP.Addr); err != nil {
		return // HTTP.validate reports it
	}
	if c.hasSource("dev") && !c.Dev {
		p.add("auth.identity", "the source dev trusts ?user= and is for development; add --dev, or remove it")
	}
	if c.Dev && !c.OnLoopback() {
		p.add("dev", "it trusts every program that can reach %s, and other machines can; set http.addr to an address on loopback, or remove dev and set auth.identity", c.HTTP.Addr)
	}
	if c.Insecure {
		return
	}
	if c.Publish.Enabled == On && !c.Dev && !c.PublishNeedsIdentity() {
		p.add("publish.enabled", "every program that can reach %s could publish; set publish.keys or auth.jwt.publish_claim, or start with --dev for this machine only, or with --insecure", c.HTTP.Addr)
	}
	if c.OnLoopback() {
		return
	}
	if len(c.Auth.Identity) == 0 {
		p.add("auth.identity", "other machines can reach %s, and no source identifies clients; set jwt or header (or anonymous, to let every client read the subjects without variables), or start with --insecure", c.HTTP.Addr)
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
		p.add("auth.jwt", "%d sources of keys are set; set one of secret_file, public_key_file, jwks_file and jwks_url", given)
	case !used && given > 0:
		p.add("auth.identity", "auth.jwt has keys, and jwt is not among the sources; add it, or remove the keys")
	}
	for _, pair := range j.Claims {
		checkAssignment(p, "auth.jwt.claims", pair, "city=address.city")
	}
}

// validate checks auth.header.*. The source header requires gateways: an operator must name them, and a proxy
// that only forwards addresses is not one.
func (h AuthHeader) validate(p *problems, used bool) {
	for _, pair := range h.Vars {
		checkAssignment(p, "auth.header.vars", pair, "city=X-City")
	}
	if used && len(h.Trusted) == 0 {
		p.add("auth.header.trusted", "it is empty, so the headers would always be ignored; name the addresses of the gateway that sets them, such as 10.0.0.7 (http.trusted_proxies does not apply here)")
	}
	if _, err := h.Gateways(); err != nil {
		p.add("auth.header.trusted", "%v", err)
	}
	h.validateNames(p)
}

// validateNames rejects invalid names of headers, and one header for two purposes.
func (h AuthHeader) validateNames(p *problems) {
	vars := Pairs(h.Vars)
	names := []struct{ key, name string }{{"auth.header.user", h.User}, {"auth.header.expires", h.Expires}}
	for _, variable := range slices.Sorted(maps.Keys(vars)) {
		names = append(names, struct{ key, name string }{"auth.header.vars", vars[variable]})
	}
	for _, n := range names {
		switch {
		case n.name == "":
		case !isToken(n.name):
			p.add(n.key, "%q is not a name of a header; write it like X-User", n.name)
		case n.key != "auth.header.expires" && strings.EqualFold(n.name, h.Expires):
			p.add("auth.header.expires", "%s is set for the end of the grant and for a value of the identity (%s); use two headers", n.name, n.key)
		}
	}
}

func checkAssignment(p *problems, key, pair, example string) {
	if name, value, ok := strings.Cut(pair, "="); !ok || name == "" || value == "" {
		p.add(key, "%q is not name=value; write it like %s", pair, example)
	}
}

// Pairs parses a list of name=value.
func Pairs(list []string) map[string]string {
	m := make(map[string]string, len(list))
	for _, pair := range list {
		name, value, _ := strings.Cut(pair, "=")
		m[name] = value
	}
	return m
}

// Proxies parses http.trusted_proxies.
func (h HTTP) Proxies() ([]netip.Prefix, error) { return netaddr.ParsePrefixes(h.TrustedProxies...) }

// Gateways parses auth.header.trusted.
func (h AuthHeader) Gateways() ([]netip.Prefix, error) { return netaddr.ParsePrefixes(h.Trusted...) }
