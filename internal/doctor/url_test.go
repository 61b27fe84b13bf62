package doctor_test

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/server"
)

const corsOrigin = "https://app.example.com"

// public is a node with its own NATS server, for proxies.
type public struct {
	node *url.URL
	nats string
}

func startPublic(t *testing.T, change func(*server.Options)) public {
	t.Helper()
	p := public{nats: startNATS(t)}
	base := startNode(t, func(o *server.Options) {
		o.NATS.URL = p.nats
		o.HTTP.CORSOrigins, o.HTTP.CORSCredentials = []string{corsOrigin}, true
		o.HTTP.Hosts = []string{"127.0.0.1"}
		if change != nil {
			change(o)
		}
	})
	var err error
	if p.node, err = url.Parse(base); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p public) settings(t *testing.T, public string) doctor.Options {
	opts := settings(t, p.nats)
	opts.NodeURL, opts.URL = p.node.String(), public
	opts.Config.HTTP.CORS = config.CORS{Origins: []string{corsOrigin}, Credentials: true}
	return opts
}

// proxy passes on requests; handle changes them.
func (p public) proxy(t *testing.T, change func(*httputil.ReverseProxy), wrap func(http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	pass := &httputil.ReverseProxy{FlushInterval: -1, Transport: transport, ErrorLog: nil, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(p.node)
		r.SetXForwarded()
	}}
	if change != nil {
		change(pass)
	}
	var handler http.Handler = pass
	if wrap != nil {
		handler = wrap(pass)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return srv
}

// header changes the node's response.
func header(change func(http.Header)) func(*httputil.ReverseProxy) {
	return func(p *httputil.ReverseProxy) {
		p.ModifyResponse = func(r *http.Response) error { change(r.Header); return nil }
	}
}

func TestURL_ProxyThatPassesOn_IsOK(t *testing.T) {
	t.Parallel()
	p := startPublic(t, nil)
	opts := p.settings(t, p.proxy(t, nil, nil).URL) // without a path, which means the path of the feed
	opts.Publish = true
	report := doctor.Run(t.Context(), opts)
	want(t, report, doctor.OK, "public url", "first event")
	want(t, report, doctor.OK, "public url", "published event")
	want(t, report, doctor.OK, "public url", "next bytes")
	want(t, report, doctor.OK, "clock", "public URL")
	want(t, report, doctor.Warning, "proxies and hosts", "http.trusted_proxies")
	wantNone(t, report, "public url", "node", "clock", "stream", "permissions")
}

// The test puts a proxy with one defect at a time before one node.
func TestURL_BadProxy_NamesDirective(t *testing.T) {
	t.Parallel()
	p := startPublic(t, nil)
	for name, c := range map[string]struct {
		change func(*httputil.ReverseProxy)
		wrap   func(http.Handler) http.Handler
		status doctor.Status
		parts  []string
	}{
		"buffers all":          {wrap: buffering(true), status: doctor.Problem, parts: []string{"no byte within", "proxy_buffering off"}},
		"buffers the body":     {wrap: buffering(false), status: doctor.Problem, parts: []string{"head of the response arrived", "proxy_buffering off"}},
		"buffers small parts":  {wrap: holdingLater, status: doctor.Problem, parts: []string{"no heartbeat", "proxy_buffering off"}},
		"ends quiet responses": {wrap: endingAfter(300 * time.Millisecond), status: doctor.Problem, parts: []string{"connection ended after", "proxy_read_timeout"}},
		"compresses":           {change: compressing, status: doctor.Warning, parts: []string{"gzip off"}},
		"lets cache":           {change: header(func(h http.Header) { h.Set("Cache-Control", "public, max-age=60") }), status: doctor.Problem, parts: []string{"Cache-Control"}},
		"lets transform":       {change: header(func(h http.Header) { h.Set("Cache-Control", "no-store") }), status: doctor.Warning, parts: []string{"no-transform"}},
		"answers from a cache": {change: header(func(h http.Header) { h.Set("Age", "12") }), status: doctor.Problem, parts: []string{"proxy_cache off"}},
		"allows twice":         {change: header(func(h http.Header) { h.Add("Access-Control-Allow-Origin", "*") }), status: doctor.Problem, parts: []string{"twice", "Access-Control-Allow-Origin"}},
		"allows nobody":        {change: header(func(h http.Header) { h.Del("Access-Control-Allow-Origin") }), status: doctor.Problem, parts: []string{"missing", "http.cors.origins"}},
		"drops credentials":    {change: header(func(h http.Header) { h.Del("Access-Control-Allow-Credentials") }), status: doctor.Problem, parts: []string{"http.cors.credentials"}},
		"passes a host on":     {change: func(p *httputil.ReverseProxy) { rewriteHost(p, "events.example.com") }, status: doctor.Problem, parts: []string{"421", "http.hosts"}},
		"another path":         {wrap: prefixed("/elsewhere"), status: doctor.Problem, parts: []string{"404", "feeds.NAME.paths"}},
		"another upstream":     {change: func(p *httputil.ReverseProxy) { rewriteURL(p, "http://127.0.0.1:1") }, status: doctor.Problem, parts: []string{"502", "http.addr"}},
		"asks for a login":     {wrap: answering(http.StatusUnauthorized, "text/plain"), status: doctor.Warning, parts: []string{"401", "--header"}},
		"serves a page":        {wrap: answering(http.StatusOK, "text/html"), status: doctor.Problem, parts: []string{"text/html", "feeds.NAME.paths"}},
		"redirects":            {wrap: redirecting, status: doctor.Warning, parts: []string{"redirects to"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := p.settings(t, p.proxy(t, c.change, c.wrap).URL+"/events")
			want(t, doctor.Run(t.Context(), opts), c.status, "public url", c.parts...)
		})
	}
}

// buffering delays the response until its end, with or without its head.
func buffering(head bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				next.ServeHTTP(w, r)
				return
			}
			held := &holdingWriter{ResponseWriter: w, head: head}
			next.ServeHTTP(held, r)
		})
	}
}

// holdingWriter omits the flushed parts of the body.
type holdingWriter struct {
	http.ResponseWriter
	head  bool
	first bool // the first write passes
	wrote bool
}

func (w *holdingWriter) WriteHeader(status int) {
	if !w.head {
		w.ResponseWriter.WriteHeader(status)
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

func (w *holdingWriter) Write(b []byte) (int, error) {
	if w.first && !w.wrote {
		w.wrote = true
		n, err := w.ResponseWriter.Write(b)
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		return n, err
	}
	return len(b), nil
}

func (w *holdingWriter) Flush() {}

func holdingLater(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&holdingWriter{ResponseWriter: w, first: true}, r)
	})
}

// endingAfter simulates a read timeout.
func endingAfter(d time.Duration) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			next.ServeHTTP(&timedWriter{ResponseWriter: w, cancel: cancel, after: d}, r.WithContext(ctx))
		})
	}
}

// timedWriter ends the response some time after its first write.
type timedWriter struct {
	http.ResponseWriter
	once   sync.Once
	cancel context.CancelFunc
	after  time.Duration
}

func (w *timedWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { time.AfterFunc(w.after, w.cancel) })
	return w.ResponseWriter.Write(b)
}

func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// compressing flushes each part, so that a client receives it immediately.
func compressing(p *httputil.ReverseProxy) {
	p.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Content-Encoding", "gzip")
		r.Header.Del("Content-Length")
		out, in := io.Pipe()
		body := r.Body
		go func() {
			zip := gzip.NewWriter(in)
			buf := make([]byte, 4096)
			for {
				n, err := body.Read(buf)
				_, _ = zip.Write(buf[:n])
				if err == nil {
					err = zip.Flush()
				}
				if err != nil {
					_ = in.CloseWithError(err)
					return
				}
			}
		}()
		r.Body = struct {
			io.Reader
			io.Closer
		}{out, closers{body, out}}
		return nil
	}
}

type closers []io.Closer

func (all closers) Close() error {
	for _, c := range all {
		_ = c.Close()
	}
	return nil
}

func rewriteHost(p *httputil.ReverseProxy, host string) {
	rewrite := p.Rewrite
	p.Rewrite = func(r *httputil.ProxyRequest) { rewrite(r); r.Out.Host = host }
}

func rewriteURL(p *httputil.ReverseProxy, to string) {
	u, err := url.Parse(to)
	if err != nil {
		panic(err)
	}
	p.Rewrite = func(r *httputil.ProxyRequest) { r.SetURL(u) }
	p.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
}

func prefixed(prefix string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = prefix + r.URL.Path
			next.ServeHTTP(w, r)
		})
	}
}

func answering(status int, typ string) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typ)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "<p>hello")
		})
	}
}

func redirecting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			http.Redirect(w, r, "/old", http.StatusFound)
			return
		}
		r.URL.Path = "/events"
		next.ServeHTTP(w, r)
	})
}

// An unknown certificate, and HTTP/1.1 only.
func TestURL_TLS_NamesCertificateAndProtocol(t *testing.T) {
	p := startPublic(t, nil)
	secure, ca := certificates(t)
	srv := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(p.node))
	srv.TLS = &tls.Config{Certificates: secure.Certificates, MinVersion: tls.VersionTLS12}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // the test causes rejected certificates
	srv.StartTLS()
	t.Cleanup(srv.Close)
	opts := p.settings(t, srv.URL+"/events")
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "public url", "SSL_CERT_FILE", "ssl_certificate")
	opts.Config.HTTP.TLS.SelfSigned = true
	report := doctor.Run(t.Context(), opts)
	want(t, report, doctor.Problem, "public url", "http.tls.self_signed")
	for _, f := range report.Findings {
		if f.Check == "public url" && strings.Contains(f.Change, "nginx") {
			t.Errorf("the advice for a self-signed certificate is %q", f.Change)
		}
	}
	opts.Config.HTTP.TLS.SelfSigned = false
	opts.URL = strings.Replace(srv.URL, "127.0.0.1", "localhost", 1) + "/events"
	opts.CAFile = ca
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "public url", "host name")
	opts.URL = srv.URL + "/events"
	want(t, doctor.Run(t.Context(), opts), doctor.Warning, "public url", "HTTP/1.1", "http2 on")
}

// A correct proxy.
func TestURL_HTTP2_IsOK(t *testing.T) {
	p := startPublic(t, nil)
	secure, ca := certificates(t)
	pass := httputil.NewSingleHostReverseProxy(p.node)
	pass.FlushInterval = -1
	pass.Transport = &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	srv := httptest.NewUnstartedServer(pass)
	srv.TLS, srv.EnableHTTP2 = secure, true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	opts := p.settings(t, srv.URL+"/events")
	opts.CAFile = ca
	report := doctor.Run(t.Context(), opts)
	want(t, report, doctor.OK, "public url", "over HTTP/2.0")
	want(t, report, doctor.OK, "public url", "next bytes")
	wantNone(t, report, "public url")
}

// Limits of the node.
func TestURL_Closed_SaysWhy(t *testing.T) {
	p := startPublic(t, func(o *server.Options) { o.Limits.Connections = 1 })
	resp, err := http.Get(p.node.String() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	want(t, doctor.Run(t.Context(), p.settings(t, p.node.String()+"/events")), doctor.Problem, "public url", "overload", "limits")
}

func TestURL_ShortTimeout_SkipsHeartbeat(t *testing.T) {
	p := startPublic(t, nil)
	opts := p.settings(t, p.node.String()+"/events")
	opts.Config.SSE.Heartbeat = time.Hour
	report := doctor.Run(t.Context(), opts)
	want(t, report, doctor.Skipped, "public url", "--timeout")
	want(t, report, doctor.OK, "public url", "first event")
}
