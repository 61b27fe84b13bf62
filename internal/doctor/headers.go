package doctor

import (
	"net/http"
	"strings"
	"time"
)

// checkHeaders checks the headers that proxies change.
func (v *visit) checkHeaders() {
	h := v.resp.Header
	cache := strings.ToLower(strings.Join(h.Values("Cache-Control"), ","))
	if !strings.Contains(cache, "no-store") && !strings.Contains(cache, "no-cache") {
		v.problem("do not change Cache-Control of the node (nginx: no expires, no proxy_hide_header for it)", "Cache-Control is %q: a cache may send the events of one client to another", cache)
	} else if !strings.Contains(cache, "no-transform") {
		v.warn("do not change Cache-Control of the node (nginx: no expires, no add_header Cache-Control)", "Cache-Control is %q, without no-transform: proxies may compress and delay the events", cache)
	}
	if enc := h.Get("Content-Encoding"); enc != "" {
		v.warn(gzipOff, "the proxy compresses the response (%s): events may wait for a block to fill", enc)
	}
	if v.resp.ContentLength >= 0 {
		v.problem(bufferingOff, "the response has a length (%d): the proxy buffered it until it was complete", v.resp.ContentLength)
	}
	if age := h.Get("Age"); age != "" && age != "0" {
		v.problem("do not cache the feed's paths (nginx proxy_cache off)", "the response comes from a cache (Age: %s)", age)
	}
	v.checkProtocol()
	v.checkCORS()
	v.checkDate()
}

func (v *visit) checkProtocol() {
	u := v.resp.Request.URL
	if u.String() != v.target {
		v.warn("name the final URL that clients use", "the URL redirects to %s", withoutQuery(u))
	}
	name := u.Hostname()
	switch {
	case u.Scheme == "http" && name != "localhost" && !strings.HasPrefix(name, "127."):
		v.warn("TLS in the proxy (nginx listen ... ssl) or in the node (http.tls)", "the URL has no TLS: the network can read events and tokens, and browsers open at most six connections")
	case u.Scheme == "https" && v.resp.ProtoMajor < 2:
		v.warn("HTTP/2 in the proxy (nginx http2 on; before 1.25.1 listen ... ssl http2)", "the protocol is %s: browsers open at most six connections to a host", v.resp.Proto)
	}
}

// origin returns the Origin of the request; empty if no other origin may read.
func (v *visit) origin() string {
	if v.Origin != "" {
		return v.Origin
	}
	origins := v.Config.HTTP.CORS.Origins
	if !v.Usable || len(origins) == 0 {
		return ""
	}
	if origins[0] == "*" {
		return "https://page.example"
	}
	return origins[0]
}

func (v *visit) checkCORS() {
	origin := v.origin()
	if origin == "" {
		return
	}
	const change = "http.cors.origins; the proxy must leave these headers to the node (nginx: no add_header Access-Control-Allow-Origin)"
	allowed := v.resp.Header.Values("Access-Control-Allow-Origin")
	switch {
	case len(allowed) == 0:
		v.problem(change, "pages of %s cannot read the response: Access-Control-Allow-Origin is missing", origin)
	case len(allowed) > 1 || strings.Contains(allowed[0], ","):
		v.problem(change, "browsers reject the response: Access-Control-Allow-Origin appears twice (%s)", strings.Join(allowed, ", "))
	case allowed[0] != "*" && allowed[0] != origin:
		v.problem(change, "pages of %s cannot read the response: Access-Control-Allow-Origin is %s", origin, allowed[0])
	case v.Usable && v.Config.HTTP.CORS.Credentials && v.resp.Header.Get("Access-Control-Allow-Credentials") != "true":
		v.problem(change, "Access-Control-Allow-Credentials of the node is missing (http.cors.credentials)")
	}
}

// checkDate compares clocks by the Date of the response. It has whole seconds, and may be the time of the
// proxy.
func (v *visit) checkDate() {
	date, err := http.ParseTime(v.resp.Header.Get("Date"))
	if err != nil || !v.Usable {
		return
	}
	c := &check{name: "clock"}
	took := time.Since(v.begun)
	const half = 500 * time.Millisecond
	v.compareClock(c, "the server of the public URL", date.Add(half).Sub(v.begun.Add(took/2)), took/2+2*half)
	v.clock = c.found
}
