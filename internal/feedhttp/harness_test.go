package feedhttp_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

// setup has the differences of a harness from the usual one.
type setup struct {
	proto  string // http1 (the usual: the engine's own), goroutine (HTTP/1.1 without), h2 or h2c
	log    *feedtest.MemStore
	behind feed.Store // the store of the feed, instead of log
	feed   feed.Options
	opts   feedhttp.SubscribeOptions
	server func(*http.Server)
	client func(*http.Transport)
	dial   func(net.Conn) net.Conn // the client's end of each connection
}

var protocols = []string{"http1", "goroutine", "h2", "h2c"}

// eachProtocol runs a test over every way to carry a stream.
func eachProtocol(t *testing.T, test func(t *testing.T, proto string)) {
	for _, proto := range protocols {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			test(t, proto)
		})
	}
}

// harness is a running feed behind a handler behind a server, and a client of it.
type harness struct {
	*feedtest.MemStore
	feed    *feed.Feed
	handler *feedhttp.Subscribe
	server  *httptest.Server
	ctx     context.Context // of every request
	stop    context.CancelFunc

	stopFeed func() // and wait until it has stopped
}

// waitTimeout bounds every wait, so that a test fails instead of hanging.
const waitTimeout = 2 * time.Minute

func newHarness(t testing.TB, s setup) *harness {
	t.Helper()
	r := &harness{MemStore: s.log}
	if r.MemStore == nil {
		r.MemStore = feedtest.NewMemStore()
	}
	if s.behind == nil {
		s.behind = r.MemStore
	}
	r.ctx, r.stop = context.WithTimeout(context.Background(), waitTimeout)
	r.feed = feed.New(s.behind, s.feed)
	s.opts.Feed = r.feed
	if s.proto != "goroutine" {
		s.opts.Engine = newEngine(t)
	}
	r.handler = feedhttp.NewSubscribe(withDefaults(t, s.opts))
	r.server = serve(s, r.handler)

	r.runFeed()
	t.Cleanup(func() {
		if err := r.handler.Drain(r.ctx, 0); err != nil {
			t.Errorf("streams were left: %v", err)
		}
		r.stopFeed()
		r.stop()
		r.server.Close()
		if n := r.OpenReaders(); n != 0 {
			t.Errorf("%d readers were left open", n)
		}
	})
	return r
}

func newEngine(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := engine.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func (r *harness) runFeed() {
	ctx, cancel := context.WithCancel(context.Background())
	var tail sync.WaitGroup
	tail.Go(func() { _ = r.feed.Run(ctx) })
	r.stopFeed = func() {
		cancel()
		tail.Wait()
	}
}

func withDefaults(t testing.TB, o feedhttp.SubscribeOptions) feedhttp.SubscribeOptions {
	if o.Stream == "" {
		o.Stream = "NEWS"
	}
	if o.Defaults == nil && o.Allow == nil {
		o.Selection = selection(t)
	}
	if o.Identify == nil {
		o.Identify = auth.First(auth.Header(auth.HeaderOptions{Trusted: auth.AnyAddress()}).Identify, auth.Dev("user"))
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = time.Hour // shorter in the tests of heartbeats
	}
	return o
}

func selection(t testing.TB) feedhttp.Selection {
	return feedhttp.Selection{
		Defaults: templates(t, "n.all", "n.user.{user}"),
		Allow:    templates(t, "n.city.*", "n.topic.>", "n.room.{user}.*"),
	}
}

func templates(t testing.TB, texts ...string) (all []subject.Template) {
	t.Helper()
	for _, text := range texts {
		tmpl, err := subject.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tmpl)
	}
	return all
}

func serve(s setup, h http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(h)
	if s.proto == "h2c" {
		srv.Config.Protocols = new(http.Protocols)
		srv.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	if s.server != nil {
		s.server(srv.Config)
	}
	if srv.EnableHTTP2 = s.proto == "h2"; srv.EnableHTTP2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	tr := srv.Client().Transport.(*http.Transport)
	if s.proto == "h2c" {
		tr.Protocols = new(http.Protocols)
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	if s.client != nil {
		s.client(tr)
	}
	if s.dial != nil {
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return s.dial(conn), nil
		}
	}
	return srv
}

// level waits until the feed has read all stored events.
func (r *harness) level(t *testing.T) {
	t.Helper()
	state, err := r.State(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	r.await(t, "the feed is level", func() bool { return r.feed.Status().High >= state.LastSeq })
}

// publish stores n events, each with its sequence as data.
func (r *harness) publish(n int, subject string) {
	for range n {
		r.Publish(subject, "", []byte("x"))
	}
}

// do sends a request; header is name, value, name, value.
func (r *harness) do(method, pathAndQuery string, header ...string) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.ctx)
	req, err := http.NewRequestWithContext(ctx, method, r.server.URL+pathAndQuery, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := r.server.Client().Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &body{resp.Body, cancel}
	return resp, nil
}

// body aborts its request when it is closed: over HTTP/1.1 Close alone would read on, in
// the hope to use the connection again.
type body struct {
	io.ReadCloser
	abort context.CancelFunc
}

func (b *body) Close() error {
	b.abort()
	return b.ReadCloser.Close()
}

// answer sends a request whose answer ends, and returns it with its body.
func (r *harness) answer(t *testing.T, method, pathAndQuery string, header ...string) (*http.Response, string) {
	t.Helper()
	resp, err := r.do(method, pathAndQuery, header...)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// await polls until a condition holds.
func (r *harness) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		select {
		case <-r.ctx.Done():
			t.Fatalf("never: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// smallBuffers keeps the kernel from taking megabytes on behalf of a client that reads
// nothing. Below two segments of the loopback TCP would wait on its timers.
func smallBuffers(c net.Conn) net.Conn {
	raw := c
	if t, ok := c.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	tcp := raw.(*net.TCPConn)
	_ = tcp.SetReadBuffer(128 << 10)
	_ = tcp.SetWriteBuffer(128 << 10)
	return c
}

func smallServerBuffers(s *http.Server) {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		smallBuffers(c)
		return ctx
	}
}
