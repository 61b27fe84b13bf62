package doctor

import (
	"net"
	"net/url"
	"slices"

	"github.com/tidemark/tidemark/internal/hostname"
)

// broad is the shortest prefix of trusted proxies that is not suspicious: 10.0.0.0/8, and an IPv6
// network of that kind.
const broad = 8

// checkExposure compares what trusts others with how the node is reached.
func (d *doctor) checkExposure() []Finding {
	c := &check{name: "proxies and hosts"}
	trusted, err := d.Config.HTTP.Proxies()
	if err != nil {
		return nil // checkConfig has it
	}
	for _, prefix := range trusted {
		if prefix.Bits() < broad {
			c.problem("http.trusted_proxies: name the addresses of the proxies", "%s trusts everybody in it to name any user and any address", prefix)
		}
	}
	if d.proxied() && len(trusted) == 0 {
		c.warn("http.trusted_proxies: name the proxy, and let it overwrite X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For $remote_addr)",
			"no proxy is trusted: limits.connections_per_address and the log take all clients of a proxy for one")
	}
	if slices.Contains(d.Config.Auth.Identity, "header") && len(trusted) == 0 {
		c.problem("http.trusted_proxies: name the gateway", "auth.identity has header, and no gateway is trusted to send it")
	}
	d.checkHosts(c)
	if c.fine() {
		c.ok("%d trusted, %d host names", len(trusted), len(d.Config.HTTP.Hosts))
	}
	return c.found
}

// proxied reports that the public URL is not an address of the node itself.
func (d *doctor) proxied() bool {
	u, err := url.Parse(d.URL)
	own, ownErr := url.Parse(d.NodeURL)
	if d.URL == "" || err != nil || ownErr != nil {
		return false
	}
	direct := u.Host == own.Host || u.Hostname() == "localhost" && u.Port() == own.Port()
	return !direct
}

// checkHosts covers proxies that pass the host of the request on, as nginx with $http_host does.
func (d *doctor) checkHosts(c *check) {
	u, err := url.Parse(d.URL)
	if d.URL == "" || err != nil {
		return
	}
	bound := &net.TCPAddr{} // of all interfaces
	if d.Config.OnLoopback() {
		bound.IP = net.IPv4(127, 0, 0, 1)
	}
	if !hostname.New(bound, d.Config.HTTP.Hosts).Allows(u.Host) {
		c.warn("http.hosts: add "+u.Hostname(), "a proxy that passes the host name %s on is answered with 421", u.Hostname())
	}
}
