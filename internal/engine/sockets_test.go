//go:build linux

package engine_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/testkit"
)

// socketHarness is a server with limited sockets, with one kind of listener.
type socketHarness struct {
	t       *testing.T
	engine  *engine.Engine
	sockets *engine.Sockets
	secure  bool
	addr    string
	ended   chan error
}

// eachListener runs a test with the engine's listener and those of net/http.
func eachListener(t *testing.T, test func(t *testing.T, newHarness func(engine.SocketOptions) *socketHarness)) {
	for _, listener := range []string{"engine", "net/http", "engine TLS", "net/http TLS"} {
		t.Run(listener, func(t *testing.T) {
			test(t, func(opts engine.SocketOptions) *socketHarness { return newSocketHarness(t, listener, opts) })
		})
	}
}

func newSocketHarness(t *testing.T, listener string, opts engine.SocketOptions) *socketHarness {
	t.Helper()
	r := &socketHarness{t: t, engine: newEngine(t), sockets: engine.NewSockets(opts), secure: strings.HasSuffix(listener, "TLS"), ended: make(chan error, 100)}
	srv := &http.Server{Handler: http.HandlerFunc(r.serve), Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(!r.secure)
	srv.Protocols.SetHTTP2(r.secure)
	if r.secure {
		srv.TLSConfig = testTLS(t)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	attach := r.engine
	if strings.HasPrefix(listener, "net/http") {
		attach = nil
	}
	l, err := attach.Attach(srv, inner, engine.ListenerOptions{
		Sockets: r.sockets, HeadTimeout: headTimeout, SendBuffer: socketBuffers, IsSubscribe: func(path string) bool { return path == "/stream" },
	})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	r.addr = l.Addr().String()
	t.Cleanup(func() {
		r.engine.Close() // closes the connections
		_ = srv.Close()
		serving.Wait()
		r.eventually("all sockets are released", func(s engine.SocketStatus) bool { return s.Open == 0 && s.Idle == 0 })
	})
	return r
}

// serve sends an event stream at /stream, rejects at /refuse, and answers other requests with a page.
func (r *socketHarness) serve(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.URL.Query().Has("refuse"):
		http.Error(w, "no", http.StatusForbidden)
	case req.URL.Query().Has("panic"):
		panic(http.ErrAbortHandler)
	case req.URL.Path == "/stream":
		r.engine.Serve(w, req, &greeter{text: "hello\n\n", ended: r.ended}, engine.Options{})
	default:
		fmt.Fprint(w, "page")
	}
}

// from dials from a local address.
func (r *socketHarness) from(ip string) net.Conn {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	if r.secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return c
}

// get sends a request. It returns the part of the body that names the engine or the server, or the error
// of a closed socket.
func (r *socketHarness) get(c net.Conn, path string) (string, error) {
	r.t.Helper()
	if _, err := io.WriteString(c, get(path)); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	line, err := bufio.NewReader(resp.Body).ReadString('\n')
	if err == io.EOF && line != "" {
		err = nil
	}
	return strings.TrimSpace(line), err
}

func (r *socketHarness) want(c net.Conn, path, text string) {
	r.t.Helper()
	if got, err := r.get(c, path); got != text || err != nil {
		r.t.Fatalf("%s: %q, %v; want %q", path, got, err, text)
	}
}

func (r *socketHarness) wantClosed(c net.Conn) {
	r.t.Helper()
	if got, err := r.get(c, "/stream"); err == nil {
		r.t.Fatalf("got %q on a socket that must be closed", got)
	}
}

func (r *socketHarness) eventually(what string, holds func(engine.SocketStatus) bool) {
	r.t.Helper()
	testkit.Eventually(r.t, waitTimeout, what, func() bool { return holds(r.sockets.Status()) })
}

func TestSockets_AddressAtItsLimit_RefusesItAndServesOthers(t *testing.T) {
	eachListener(t, func(t *testing.T, newHarness func(engine.SocketOptions) *socketHarness) {
		r := newHarness(engine.SocketOptions{Max: 4, MaxPerAddress: 2})
		for range 2 {
			r.want(r.from("127.0.0.1"), "/stream", "hello")
		}
		r.wantClosed(r.from("127.0.0.1"))
		other := r.from("127.0.0.2")
		r.want(other, "/stream", "hello")
		if s := r.sockets.Status(); s.Open != 3 || s.RefusedPerAddress != 1 || s.Refused != 0 || s.IdleClosed != 0 {
			t.Errorf("%+v", s)
		}
		_ = other.Close()
		r.eventually("the socket that was closed is released", func(s engine.SocketStatus) bool { return s.Open == 2 })
	})
}

func TestSockets_AllTaken_RefusesUntilOneIsClosed(t *testing.T) {
	eachListener(t, func(t *testing.T, newHarness func(engine.SocketOptions) *socketHarness) {
		r := newHarness(engine.SocketOptions{Max: 2, MaxPerAddress: 2})
		first := r.from("127.0.0.1")
		r.want(first, "/stream", "hello")
		r.want(r.from("127.0.0.2"), "/stream", "hello")
		r.wantClosed(r.from("127.0.0.3"))
		_ = first.Close()
		r.eventually("a socket is free", func(s engine.SocketStatus) bool { return s.Open == 1 })
		r.want(r.from("127.0.0.3"), "/stream", "hello")
		if s := r.sockets.Status(); s.Open != 2 || s.Refused != 1 || s.RefusedPerAddress != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// page leaves an idle socket after a request.
func (r *socketHarness) page(ip string) net.Conn {
	r.t.Helper()
	idle := r.sockets.Status().Idle
	c := r.from(ip)
	r.want(c, "/", "page")
	r.eventually("the socket is idle", func(s engine.SocketStatus) bool { return s.Idle == idle+1 })
	return c
}

func TestSockets_AllTaken_ClosesTheLongestIdle(t *testing.T) {
	eachListener(t, func(t *testing.T, newHarness func(engine.SocketOptions) *socketHarness) {
		r := newHarness(engine.SocketOptions{Max: 3, MaxPerAddress: 3})
		again, oldest, newest := r.page("127.0.0.1"), r.page("127.0.0.2"), r.page("127.0.0.3")
		r.want(again, "/", "page") // now it has been idle for the shortest time
		r.eventually("it is idle again", func(s engine.SocketStatus) bool { return s.Idle == 3 })
		r.want(r.from("127.0.0.4"), "/stream", "hello")
		r.wantClosed(oldest)
		r.want(newest, "/", "page")
		r.want(again, "/", "page")
		if s := r.sockets.Status(); s.Open != 3 || s.Refused != 0 || s.IdleClosed != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSockets_AddressAtItsLimit_ClosesItsOwnIdle(t *testing.T) {
	eachListener(t, func(t *testing.T, newHarness func(engine.SocketOptions) *socketHarness) {
		r := newHarness(engine.SocketOptions{Max: 10, MaxPerAddress: 2})
		other := r.page("127.0.0.2") // idle for a longer time
		mine := r.page("127.0.0.1")
		r.want(r.from("127.0.0.1"), "/stream", "hello")
		r.want(r.from("127.0.0.1"), "/stream", "hello")
		r.wantClosed(mine)
		r.wantClosed(r.from("127.0.0.1")) // no socket is idle
		r.want(other, "/", "page")
		if s := r.sockets.Status(); s.Open != 3 || s.IdleClosed != 1 || s.RefusedPerAddress != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSockets_ExemptAddress_HasTheLimitOfAllAlone(t *testing.T) {
	eachListener(t, func(t *testing.T, newHarness func(engine.SocketOptions) *socketHarness) {
		proxy := netip.MustParseAddr("127.0.0.9")
		r := newHarness(engine.SocketOptions{Max: 4, MaxPerAddress: 1, Exempt: func(a netip.Addr) bool { return a == proxy }})
		for range 3 {
			r.want(r.from("127.0.0.9"), "/stream", "hello")
		}
		r.want(r.from("127.0.0.1"), "/stream", "hello")
		r.wantClosed(r.from("127.0.0.9"))
		if s := r.sockets.Status(); s.Open != 4 || s.Refused != 1 || s.RefusedPerAddress != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// HTTP/2 connections without a request are idle, as with HTTP/1.1. Connections with a request are not
// idle.
func TestSockets_HTTP2_ClosesOneWithoutRequests(t *testing.T) {
	eachListener(t, func(t *testing.T, newHarness func(engine.SocketOptions) *socketHarness) {
		r := newHarness(engine.SocketOptions{Max: 2, MaxPerAddress: 2})
		client := func() (*http.Client, func()) {
			tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			tr.Protocols.SetHTTP2(r.secure)
			tr.Protocols.SetUnencryptedHTTP2(!r.secure)
			return &http.Client{Transport: tr}, tr.CloseIdleConnections
		}
		scheme := map[bool]string{true: "https://", false: "http://"}[r.secure]
		busy, closeBusy := client()
		defer closeBusy()
		stream, err := busy.Get(scheme + r.addr + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Body.Close()
		quiet, closeQuiet := client()
		defer closeQuiet()
		for range 2 { // the first request leaves an idle socket; the second client finds it closed and opens another
			var resp *http.Response
			testkit.Eventually(t, waitTimeout, "a page, on a new socket once the client has found the old one closed", func() (ok bool) {
				resp, err = quiet.Get(scheme + r.addr + "/")
				return err == nil
			})
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.ProtoMajor != 2 || stream.ProtoMajor != 2 {
				t.Fatal("not HTTP/2")
			}
			r.eventually("the socket is idle", func(s engine.SocketStatus) bool { return s.Idle == 1 })
			c := r.from("127.0.0.1")
			r.want(c, "/", "page")
			_ = c.Close()
			r.eventually("the socket is released", func(s engine.SocketStatus) bool { return s.Open == 1 })
		}
		if line, err := bufio.NewReader(stream.Body).ReadString('\n'); line != "hello\n" || err != nil {
			t.Errorf("the stream: %q, %v", line, err)
		}
		if s := r.sockets.Status(); s.IdleClosed != 2 || s.Refused+s.RefusedPerAddress != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A socket is counted once, until it is closed, in every case.
func TestSockets_EveryEnd_IsCountedOnce(t *testing.T) {
	eachListener(t, func(t *testing.T, newHarness func(engine.SocketOptions) *socketHarness) {
		r := newHarness(engine.SocketOptions{Max: 1000, MaxPerAddress: 1000})
		for name, use := range map[string]func(c net.Conn){
			"nothing sent":       func(net.Conn) {},
			"half a head":        func(c net.Conn) { _, _ = io.WriteString(c, "GET /stream HTTP/1.1\r\nHo") },
			"half a page's head": func(c net.Conn) { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHo") },
			"not HTTP":           func(c net.Conn) { _, _ = io.WriteString(c, "\x00\x01\x02\r\n\r\n") },
			"a page":             func(c net.Conn) { r.want(c, "/", "page") },
			"two pages":          func(c net.Conn) { r.want(c, "/", "page"); r.want(c, "/", "page") },
			"a stream":           func(c net.Conn) { r.want(c, "/stream", "hello") },
			"a page, a stream":   func(c net.Conn) { r.want(c, "/", "page"); r.want(c, "/stream", "hello") },
			"a refused stream":   func(c net.Conn) { r.want(c, "/stream?refuse", "no") },
			"a panic":            func(c net.Conn) { r.wantClosedPath(c, "/stream?panic") },
			"a page and a panic": func(c net.Conn) { r.want(c, "/", "page"); r.wantClosedPath(c, "/?panic") },
		} {
			c := r.from("127.0.0.1")
			use(c)
			_ = c.Close()
			r.eventually(name+": released", func(s engine.SocketStatus) bool { return s.Open == 0 && s.Idle == 0 })
		}
		var clients sync.WaitGroup
		for range 50 { // all at the same time; most are closed early
			clients.Go(func() {
				c := r.from("127.0.0.1")
				_, _ = io.WriteString(c, get("/stream"))
				_ = c.Close()
			})
		}
		clients.Wait()
		r.eventually("all released", func(s engine.SocketStatus) bool { return s.Open == 0 })
		if s := r.sockets.Status(); s != (engine.SocketStatus{Accepted: s.Accepted}) || s.Accepted < 50 {
			t.Errorf("%+v", s)
		}
	})
}

func (r *socketHarness) wantClosedPath(c net.Conn, path string) {
	r.t.Helper()
	if got, err := r.get(c, path); err == nil {
		r.t.Errorf("%s: %q", path, got)
	}
}

func TestSockets_ManyRefused_LogsOneLine(t *testing.T) {
	var log testkit.Log
	r := newSocketHarness(t, "net/http", engine.SocketOptions{
		Max: 10, MaxPerAddress: 2, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 2 {
		r.want(r.from("127.0.0.1"), "/stream", "hello")
	}
	for range 5 {
		r.wantClosed(r.from("127.0.0.1"))
	}
	text := log.String()
	for _, must := range []string{"limit=limits.sockets_per_address", "max=2", "open=2", "rejected=1", "address=127.0.0.1/32", "http.trusted_proxies"} {
		if !strings.Contains(text, must) {
			t.Errorf("no %q in %s", must, text)
		}
	}
	if n := strings.Count(text, "\n"); n != 1 {
		t.Errorf("%d lines: %s", n, text)
	}
	if s := r.sockets.Status(); s.RefusedPerAddress != 5 {
		t.Errorf("%+v", s)
	}
}
