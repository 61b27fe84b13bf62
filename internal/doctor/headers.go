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
		v.problem("leave Cache-Control of the node as it is (nginx: no expires, no proxy_hide_header for it)", "Cache-Control is %q: a cache may answer one client with the events of another", cache)
	} else if !strings.Contains(cache, "no-transform") {
		v.warn("leave Cache-Control of the node as it is (nginx: no expires, no add_header Cache-Control)", "Cache-Control is %q, and has lost no-transform: proxies on the way may compress and hold back", cache)
	}
	if enc := h.Get("Content-Encoding"); enc != "" {
		v.warn(gzipOff, "the proxy compresses the stream (%s): events may wait for a block to fill", enc)
	}
	if v.resp.ContentLength >= 0 {
		v.problem(bufferingOff, "the response has a length (%d): it was complete before it was passed on", v.resp.ContentLength)
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
		v.warn("name the URL that clients use at the end", "the URL redirects to %s", withoutQuery(u))
	}
	name := u.Hostname()
	switch {
	case u.Scheme == "http" && name != "localhost" && !strings.HasPrefix(name, "127."):
		v.warn("TLS in the proxy (nginx listen ... ssl) or in the node (http.tls)", "the URL has no TLS: events and tokens can be read on the way, and browsers open six connections at most")
	case u.Scheme == "https" && v.resp.ProtoMajor < 2:
		v.warn("HTTP/2 in the proxy (nginx http2 on; before 1.25.1 listen ... ssl http2)", "%s is spoken: browsers open six connections to a host at most", v.resp.Proto)
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
		v.problem(change, "pages of %s may not read: Access-Control-Allow-Origin is missing", origin)
	case len(allowed) > 1 || strings.Contains(allowed[0], ","):
		v.problem(change, "browsers refuse the response: Access-Control-Allow-Origin is there twice (%s)", strings.Join(allowed, ", "))
	case allowed[0] != "*" && allowed[0] != origin:
		v.problem(change, "pages of %s may not read: Access-Control-Allow-Origin is %s", origin, allowed[0])
	case v.Usable && v.Config.HTTP.CORS.Credentials && v.resp.Header.Get("Access-Control-Allow-Credentials") != "true":
		v.problem(change, "Access-Control-Allow-Credentials was lost on the way (http.cors.credentials)")
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
