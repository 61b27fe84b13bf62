package doctor

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/pkg/sse"
)

// promptly is how long an answer, and then its first event, may take. A node needs milliseconds; the
// rest is for distance and load.
const promptly = 6 * time.Second

// What to change where a proxy holds events back.
const (
	bufferingOff = "turn buffering off for the feed's paths: nginx proxy_buffering off, proxy_http_version 1.1 (and no proxy_ignore_headers X-Accel-Buffering), " +
		"Caddy flush_interval -1, Apache flushpackets=on; no caching or transforming CDN in front"
	gzipOff     = "leave text/event-stream uncompressed: nginx gzip off (or gzip_types without it) for the feed's paths"
	readTimeout = "a read timeout of more than two heartbeats (sse.heartbeat): nginx proxy_read_timeout 45s"
)

// checkURL opens a feed through its public URL as a browser does, and watches how its bytes arrive.
func (d *doctor) checkURL(ctx context.Context, nc *nats.Conn) []Finding {
	c := &check{name: "public url"}
	if d.URL == "" {
		c.skip("not checked; --url names the public URL of a feed, to find buffering, short timeouts and changed headers")
		return c.found
	}
	target, event := d.target(nc)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	roots, err := d.authorities()
	if err != nil {
		c.problem("--ca", "the authorities cannot be read: %v", err)
		return c.found
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	v := &visit{doctor: d, check: c, client: &http.Client{Transport: transport}, target: target}
	if v.open(ctx, cancel) {
		defer v.resp.Body.Close()
		v.checkHeaders()
		v.watch(ctx, event)
	}
	return append(c.found, v.clock...)
}

// authorities are nil for those of the system alone.
func (d *doctor) authorities() (*x509.CertPool, error) {
	if d.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(d.CAFile)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(d.CAFile + " has no certificate in PEM")
	}
	return pool, nil
}

// visit is one connection to the public URL.
type visit struct {
	*doctor
	*check
	client *http.Client
	target string
	resp   *http.Response
	begun  time.Time
	clock  []Finding
}

func (v *visit) request(ctx context.Context, method string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, v.target, nil)
	if err != nil {
		return nil, err
	}
	if v.Header != nil {
		req.Header = v.Header.Clone()
	}
	req.Header.Set("Accept", sse.MediaType)
	req.Header.Set("Accept-Encoding", "gzip") // as browsers do
	req.Header.Set("Cache-Control", "no-cache")
	if origin := v.origin(); origin != "" {
		req.Header.Set("Origin", origin)
	}
	return req, nil
}

// open reports whether a stream of events was opened.
func (v *visit) open(ctx context.Context, cancel context.CancelFunc) bool {
	req, err := v.request(ctx, http.MethodGet)
	if err != nil {
		v.problem("--url", "the URL cannot be used: %v", err)
		return false
	}
	v.begun = time.Now()
	type answer struct {
		resp *http.Response
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		resp, err := v.client.Do(req)
		answers <- answer{resp, err}
	}()
	timer := time.NewTimer(promptly)
	defer timer.Stop()
	var a answer
	select {
	case a = <-answers:
	case <-timer.C:
		v.unanswered(ctx)
		cancel()
		if a = <-answers; a.err == nil {
			_ = a.resp.Body.Close()
		}
		return false
	}
	if a.err != nil {
		v.problem(requestAdvice(a.err), "the URL is not answered: %v", withoutURL(a.err))
		return false
	}
	v.resp = a.resp
	if !v.accepted() {
		_ = a.resp.Body.Close()
		return false
	}
	return true
}

// unanswered distinguishes a proxy that waits for the end of the response from one that answers
// nothing: HEAD ends at once.
func (v *visit) unanswered(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	req, err := v.request(ctx, http.MethodHead)
	var resp *http.Response
	if err == nil {
		resp, err = v.client.Do(req)
	}
	if err != nil {
		v.problem("the proxy's upstream (it must be http.addr), and firewalls", "the URL is not answered within %s, and HEAD neither", promptly)
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		v.problem("the proxy's upstream (it must be http.addr)", "the URL is not answered within %s; HEAD is answered with %s", promptly, resp.Status)
		return
	}
	v.problem(bufferingOff, "the proxy holds the stream back: no byte within %s, while HEAD, which has no body, is answered at once", promptly)
}

// withoutURL leaves out the URL, whose query may hold a token.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

func requestAdvice(err error) string {
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case authority:
		return "the certificate's chain (nginx ssl_certificate with intermediates); --ca (or SSL_CERT_FILE) names an authority of your own"
	case host:
		return "a certificate for this host name (nginx ssl_certificate, http.tls.cert)"
	case invalid:
		return "renew the certificate (nginx ssl_certificate, http.tls.cert), and compare the clocks"
	}
	return "--url, the name's address (DNS), firewalls, and whether the proxy runs"
}

// answersMean says what to change for statuses of nodes and proxies.
var answersMean = map[int]string{
	http.StatusUnauthorized:       "pass a login to doctor: --header 'Authorization: Bearer ...' (auth.identity)",
	http.StatusForbidden:          "pass another login with --header, or a --url without ?user=",
	http.StatusNotFound:           "--url: a path of feeds.NAME.paths below http.base_path, and the proxy's location for it",
	http.StatusMisdirectedRequest: "http.hosts: add the host name that the proxy passes on (nginx proxy_set_header Host)",
	http.StatusTooManyRequests:    "limits, or those of the proxy",
	http.StatusBadGateway:         "the proxy's upstream: it must be http.addr of a node that runs",
	http.StatusServiceUnavailable: "/readyz of the nodes says why",
	http.StatusGatewayTimeout:     "the proxy's upstream: it must be http.addr of a node that runs",
}

// accepted reports whether the answer is a stream of events.
func (v *visit) accepted() bool {
	status, typ := v.resp.StatusCode, v.resp.Header.Get("Content-Type")
	if status != http.StatusOK {
		change, known := answersMean[status]
		if !known {
			change = "the log of the proxy and of the node"
		}
		text, _ := io.ReadAll(io.LimitReader(v.resp.Body, 300))
		report := v.problem
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			report = v.warn // the way is there
		}
		report(change, "the URL is answered with %s, so that no stream could be watched: %s", v.resp.Status, strings.Join(strings.Fields(string(text)), " "))
		return false
	}
	if !strings.HasPrefix(typ, sse.MediaType) {
		v.problem(answersMean[http.StatusNotFound], "the URL is answered with the content type %q, by something that is not a feed", typ)
		return false
	}
	return true
}

// checkHeaders examines what proxies change.
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
		v.warn("name the URL that clients use at the end", "the URL redirects to %s://%s%s", u.Scheme, u.Host, u.Path)
	}
	name := u.Hostname()
	switch {
	case u.Scheme == "http" && name != "localhost" && !strings.HasPrefix(name, "127."):
		v.warn("TLS in the proxy (nginx listen ... ssl) or in the node (http.tls)", "the URL has no TLS: events and tokens can be read on the way, and browsers open six connections at most")
	case u.Scheme == "https" && v.resp.ProtoMajor < 2:
		v.warn("HTTP/2 in the proxy (nginx http2 on; before 1.25.1 listen ... ssl http2)", "%s is spoken: browsers open six connections to a host at most", v.resp.Proto)
	}
}

// origin is the page that the request pretends to come from; empty where no other origin may read.
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

// checkDate compares clocks by the Date of the response, which is in whole seconds and may be that of
// the proxy.
func (v *visit) checkDate() {
	date, err := http.ParseTime(v.resp.Header.Get("Date"))
	if err != nil || !v.Usable {
		return
	}
	c := &check{name: "clock"}
	took := time.Since(v.begun)
	const half = 500 * time.Millisecond
	v.judgeClock(c, "the server of the public URL", date.Add(half).Sub(v.begun.Add(took/2)), took/2+2*half)
	v.clock = c.found
}

// arrival is a part of the response, or its end.
type arrival struct {
	text string
	err  error
}

// arrivals reads the response until it ends or its context does.
func (v *visit) arrivals(ctx context.Context) <-chan arrival {
	parts := make(chan arrival)
	go func() {
		defer close(parts)
		body, err := decoded(v.resp)
		buf := make([]byte, 16<<10)
		for {
			n := 0
			if err == nil {
				n, err = body.Read(buf)
			}
			select {
			case parts <- arrival{string(buf[:n]), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return parts
}

func decoded(resp *http.Response) (io.Reader, error) {
	if resp.Header.Get("Content-Encoding") == "gzip" {
		return gzip.NewReader(resp.Body)
	}
	return resp.Body, nil
}

// watch waits for the opening event, for an event of its own where it may publish one, and for the
// heartbeat.
func (v *visit) watch(ctx context.Context, event *testEvent) {
	ctx, cancel := context.WithCancel(ctx)
	parts := v.arrivals(ctx)
	defer func() {
		cancel()
		_ = v.resp.Body.Close()
		for range parts { // until the reader has ended
		}
	}()
	text, ended, err := await(ctx, parts, promptly, func(s string) bool {
		return strings.Contains(s, "tidemark.open") || strings.Contains(s, "tidemark.close")
	})
	switch {
	case strings.Contains(text, "tidemark.close"):
		v.problem("limits, and /readyz of the node", "the node closed the connection: %s", strings.Join(strings.Fields(text), " "))
		return
	case strings.Contains(text, "no node answers"):
		v.problem("start a node; the proxy's upstream must be http.addr", "the proxy reaches no node")
		return
	case ended:
		v.problem("the log of the proxy and of the node", "the response ended before it began: %v", err)
		return
	case !strings.Contains(text, "tidemark.open"):
		v.problem(bufferingOff, "the proxy holds the stream back: the head of the response arrived, and no event within %s", promptly)
		return
	}
	v.ok("the first event arrived %s after the request, over %s", time.Since(v.begun).Round(time.Millisecond), v.resp.Proto)
	if event != nil && !v.awaitEvent(ctx, parts, event) {
		return
	}
	v.awaitHeartbeat(ctx, parts)
}

// await collects text until it has what is wanted, for some time at most.
func await(ctx context.Context, parts <-chan arrival, most time.Duration, has func(string) bool) (text string, ended bool, err error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		select {
		case part, more := <-parts:
			text += part.text
			if has(text) {
				return text, false, nil
			}
			if !more || part.err != nil {
				return text, true, part.err
			}
		case <-timer.C:
			return text, false, nil
		case <-ctx.Done():
			return text, false, ctx.Err()
		}
	}
}

// awaitHeartbeat waits for what a node sends on a connection without events.
func (v *visit) awaitHeartbeat(ctx context.Context, parts <-chan arrival) {
	heartbeat := v.Config.SSE.Heartbeat
	if !v.Usable {
		heartbeat = 15 * time.Second
	}
	most := heartbeat + promptly
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < heartbeat+time.Second {
		v.skip("the heartbeat (sse.heartbeat, %s) was not waited for; raise --timeout", heartbeat)
		return
	}
	begun := time.Now()
	text, ended, err := await(ctx, parts, most, func(s string) bool { return s != "" })
	waited := time.Since(begun).Round(100 * time.Millisecond)
	switch {
	case text != "":
		v.ok("the connection stayed open, and its next bytes arrived after %s (sse.heartbeat %s)", waited, heartbeat)
	case ended:
		v.problem(readTimeout, "the connection ended after %s without a byte, before the heartbeat (sse.heartbeat %s): %v", waited, heartbeat, err)
	default:
		v.problem(bufferingOff, "the first event arrived, and no heartbeat within %s (sse.heartbeat %s): small parts are held back", waited, heartbeat)
	}
}

// firstPath is /events where a feed has it, else any path of a feed.
func (d *doctor) firstPath() string {
	first := "/"
	for _, f := range d.Config.Feeds {
		if slices.Contains(f.Paths, "/events") {
			return "/events"
		}
		if len(f.Paths) > 0 {
			first = f.Paths[0]
		}
	}
	return first
}

// feedOf is the feed that a URL's path belongs to.
func (d *doctor) feedOf(path string) (name string, known bool) {
	path = strings.TrimPrefix(path, d.Config.HTTP.BasePath)
	for name, f := range d.Config.Feeds {
		if slices.Contains(f.Paths, path) {
			return name, true
		}
	}
	return "", false
}

// target is the URL to open, with the subject of the event that is published.
func (d *doctor) target(nc *nats.Conn) (string, *testEvent) {
	u, err := url.Parse(d.URL)
	if err != nil {
		return d.URL, nil
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = d.Config.HTTP.BasePath + d.firstPath()
	}
	event := d.newEvent(nc, u.Path)
	if event != nil {
		q := u.Query()
		q.Add("subject", event.subject)
		u.RawQuery = q.Encode()
	}
	return u.String(), event
}
