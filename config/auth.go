package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"
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
	for _, pair := range c.Auth.Header.Vars {
		checkPair(p, "auth.header.vars", pair, "city=X-City")
	}
	if c.hasSource("header") && len(c.HTTP.TrustedProxies) == 0 {
		p.add("http.trusted_proxies", "it is empty, so that no header would be believed; name the addresses of the gateway that sets them, such as 10.0.0.0/8")
	}
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

// Proxies reads http.trusted_proxies: CIDRs, or addresses that stand for themselves.
func (h HTTP) Proxies() ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(h.TrustedProxies))
	for _, text := range h.TrustedProxies {
		if addr, err := netip.ParseAddr(text); err == nil {
			prefixes = append(prefixes, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, &net.ParseError{Type: "address or CIDR (such as 10.0.0.0/8)", Text: text}
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}
