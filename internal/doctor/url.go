package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/tlsconfig"
	"github.com/tidemark/tidemark/pkg/sse"
)

// promptly is the longest accepted time for a response, and then for its first event. A node needs
// milliseconds; the rest is for distance and load.
const promptly = 6 * time.Second

// The remedies for a proxy that delays events.
const (
	bufferingOff = "turn buffering off for the feed's paths: nginx proxy_buffering off, proxy_http_version 1.1 (and no proxy_ignore_headers X-Accel-Buffering), " +
		"Caddy flush_interval -1, Apache flushpackets=on; no caching or transforming CDN in front"
	gzipOff     = "leave text/event-stream uncompressed: nginx gzip off (or gzip_types without it) for the feed's paths"
	readTimeout = "a read timeout of more than two heartbeats (sse.heartbeat): nginx proxy_read_timeout 45s"
)

// checkURL opens a feed through its public URL like a browser, and measures when its bytes arrive.
func (d *doctor) checkURL(ctx context.Context, nc *nats.Conn) []Finding {
	c := &check{name: "public url"}
	if d.URL == "" {
		c.skip("not checked; --url names the public URL of a feed, to find buffering, short timeouts and changed headers")
		return c.found
	}
	target, event := d.target(nc)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var roots *x509.CertPool // nil for the authorities of the system
	if d.CAFile != "" {
		var err error
		if roots, err = tlsconfig.WithAuthorities(d.CAFile); err != nil {
			c.problem("--ca", "the authorities cannot be read: %v", err)
			return c.found
		}
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	v := &visit{doctor: d, check: c, client: &http.Client{Transport: transport, CheckRedirect: sameHost}, target: target}
	if v.open(ctx, cancel) {
		defer v.resp.Body.Close()
		v.checkHeaders()
		v.watch(ctx, event)
	}
	return append(c.found, v.clock...)
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

// open reports whether an event stream was opened.
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
		v.problem(v.requestAdvice(a.err), "the URL does not respond: %v", withoutURL(a.err))
		return false
	}
	v.resp = a.resp
	if !v.accepted() {
		_ = a.resp.Body.Close()
		return false
	}
	return true
}

// unanswered distinguishes a proxy that waits for the end of the response from a proxy without a response:
// a HEAD request ends immediately.
func (v *visit) unanswered(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	req, err := v.request(ctx, http.MethodHead)
	var resp *http.Response
	if err == nil {
		resp, err = v.client.Do(req)
	}
	if err != nil {
		v.problem("the proxy's upstream (it must be http.addr), and firewalls", "the URL does not respond within %s, neither to GET nor to HEAD", promptly)
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		v.problem("the proxy's upstream (it must be http.addr)", "the URL does not respond to GET within %s; the response to HEAD is %s", promptly, resp.Status)
		return
	}
	v.problem(bufferingOff, "the proxy buffers the response: no byte within %s, but an immediate response to HEAD, which has no body", promptly)
}

// withoutURL removes the URL, whose query may contain a token.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

func (d *doctor) requestAdvice(err error) string {
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case authority && d.Config.HTTP.TLS.SelfSigned:
		return "http.tls.cert and http.tls.key, in place of http.tls.self_signed: no authority has signed its certificate, which is for trying TLS on this machine"
	case authority:
		return "the certificate's chain (nginx ssl_certificate with intermediates); --ca (or SSL_CERT_FILE) names an authority of your own"
	case host:
		return "a certificate for this host name (nginx ssl_certificate, http.tls.cert)"
	case invalid:
		return "renew the certificate (nginx ssl_certificate, http.tls.cert), and compare the clocks"
	}
	return "--url, the name's address (DNS), firewalls, and whether the proxy runs"
}

// answersMean contains the remedies for statuses of nodes and proxies.
var answersMean = map[int]string{
	http.StatusUnauthorized:       "give doctor a login: --header 'Authorization: Bearer ...' or --header 'Cookie: ...' (auth.identity)",
	http.StatusForbidden:          "pass another login with --header, or a --url without ?user=",
	http.StatusNotFound:           "--url: a path of feeds.NAME.paths below http.base_path, and the proxy's location for it",
	http.StatusMisdirectedRequest: "http.hosts: add the host name that the proxy passes on (nginx proxy_set_header Host)",
	http.StatusTooManyRequests:    "limits, or those of the proxy",
	http.StatusBadGateway:         "the proxy's upstream: it must be http.addr of a node that runs",
	http.StatusServiceUnavailable: "/readyz of the nodes reports the reason",
	http.StatusGatewayTimeout:     "the proxy's upstream: it must be http.addr of a node that runs",
}

// accepted reports whether the response is an event stream.
func (v *visit) accepted() bool {
	status, typ := v.resp.StatusCode, v.resp.Header.Get("Content-Type")
	if to, err := v.resp.Location(); err == nil && status >= 300 && status < 400 {
		v.problem("--url: name the final URL that clients use, if that host is yours", "the URL redirects to %s, which is another host or has no TLS; the redirect is not followed, and nothing is sent there", withoutQuery(to))
		return false
	}
	if status != http.StatusOK {
		change, known := answersMean[status]
		if !known {
			change = "the log of the proxy and of the node"
		}
		text, _ := io.ReadAll(io.LimitReader(v.resp.Body, maxPage))
		report := v.problem
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			report = v.warn // the connection itself works
		}
		report(change, "the URL is answered with %s, so that no stream could be watched: %s", v.resp.Status, excerpt(string(text)))
		return false
	}
	if !strings.HasPrefix(typ, sse.MediaType) {
		v.problem(answersMean[http.StatusNotFound], "the response has the content type %q: the URL is not that of a feed", typ)
		return false
	}
	return true
}

// firstPath returns /events if a feed has it, or else the path of any feed.
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

// feedOf returns the feed for a URL's path.
func (d *doctor) feedOf(path string) (name string, known bool) {
	path = strings.TrimPrefix(path, d.Config.HTTP.BasePath)
	for name, f := range d.Config.Feeds {
		if slices.Contains(f.Paths, path) {
			return name, true
		}
	}
	return "", false
}

// target returns the URL to open, with the subject of the published event.
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
