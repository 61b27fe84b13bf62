package doctor

import (
	"net"
	"net/url"
	"slices"

	"github.com/tidemark/tidemark/internal/hostname"
)

// broad is the length of the shortest prefix of trusted proxies without a warning: 10.0.0.0/8, and a
// comparable IPv6 network.
const broad = 8

// checkExposure compares the trust settings with the reachability of the node.
func (d *doctor) checkExposure() []Finding {
	c := &check{name: "proxies and hosts"}
	trusted, err := d.Config.HTTP.Proxies()
	if err != nil {
		return nil // reported by checkConfig
	}
	for _, prefix := range trusted {
		if prefix.Bits() < broad {
			c.problem("http.trusted_proxies: name the addresses of the proxies", "%s trusts everybody in the network to name any user and any address", prefix)
		}
	}
	if d.proxied() && len(trusted) == 0 {
		c.warn("http.trusted_proxies: name the proxy, and let it overwrite X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For $remote_addr)",
			"no proxy is trusted: limits.connections_per_address and the log count all clients of a proxy as one client")
	}
	if slices.Contains(d.Config.Auth.Identity, "header") && len(trusted) == 0 {
		c.problem("http.trusted_proxies: name the gateway", "auth.identity has header, but no gateway is trusted to send the header")
	}
	d.checkHosts(c)
	if c.fine() {
		c.ok("trusted proxies: %d, host names: %d", len(trusted), len(d.Config.HTTP.Hosts))
	}
	return c.found
}

// proxied reports whether the public URL is another address than the node's.
func (d *doctor) proxied() bool {
	u, err := url.Parse(d.URL)
	own, ownErr := url.Parse(d.NodeURL)
	if d.URL == "" || err != nil || ownErr != nil {
		return false
	}
	direct := u.Host == own.Host || u.Hostname() == "localhost" && u.Port() == own.Port()
	return !direct
}

// checkHosts covers proxies that pass on the host of the request, as nginx with $http_host does.
func (d *doctor) checkHosts(c *check) {
	u, err := url.Parse(d.URL)
	if d.URL == "" || err != nil {
		return
	}
	bound := &net.TCPAddr{} // all interfaces
	if d.Config.OnLoopback() {
		bound.IP = net.IPv4(127, 0, 0, 1)
	}
	if !hostname.New(bound, d.Config.HTTP.Hosts).Allows(u.Host) {
		c.warn("http.hosts: add "+u.Hostname(), "the node rejects requests with the host name %s with 421", u.Hostname())
	}
}
