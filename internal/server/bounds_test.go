package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// dial opens a socket to a node, with TLS where secure.
func (r *harness) dial(secure bool) net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.srv.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	if secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// raw sends text unchanged, and returns the status of the answer.
func (r *harness) raw(secure bool, text string) int {
	r.t.Helper()
	c := r.dial(secure)
	defer c.Close()
	var sending sync.WaitGroup
	sending.Go(func() { _, _ = io.WriteString(c, text) }) // the server does not read a refused request to its end
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		r.t.Errorf("%.60q…: %v", text, err)
		return 0
	}
	c.Close()
	sending.Wait()
	return resp.StatusCode
}

func newTLSRig(t *testing.T, change func(*server.Options)) *harness {
	t.Helper()
	cert, key, _ := selfSigned(t)
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	opts := options(t, url)
	opts.HTTP.TLS.CertFile, opts.HTTP.TLS.KeyFile = cert, key
	change(&opts)
	r := startNode(t, opts)
	r.eventually("ready", func() bool {
		return r.raw(true, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") == http.StatusOK
	})
	return r
}

// inTheClearAndTLS runs a test with the request parser of the engine and with that of net/http, in the clear and over TLS.
func inTheClearAndTLS(t *testing.T, change func(*server.Options), test func(t *testing.T, r *harness, secure bool)) {
	clear := func(t *testing.T) {
		r := newHarness(t, change)
		l := r.listen(me, "")
		l.want("tidemark.open")
		test(t, r, false)
		r.publish("notifications.user.42", 1, 1)
		l.wantNumbers(1, 1) // the other client was not disturbed
	}
	secure := func(t *testing.T) { test(t, newTLSRig(t, change), true) }
	eachEngine(t, func(t *testing.T) {
		t.Run("clear", clear)
		t.Run("tls", secure)
	})
}

func TestRequests_TooLarge_AreRefused(t *testing.T) {
	head := func(path string, lines ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
	}
	field := func(n int) string { return "X-Long: " + strings.Repeat("x", n) }
	fields := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("X-%d: y", i))
		}
		return all
	}
	body := strings.Repeat("x", 3000)
	inTheClearAndTLS(t, func(o *server.Options) { o.Publish.MaxBytes = 2000 }, func(t *testing.T, r *harness, secure bool) {
		for name, c := range map[string]struct {
			request string
			status  int
		}{
			"a head that is the server's":   {head("/events", field(20<<10)), 200},
			"a head too long":               {head("/events", field(100<<10)), 431},
			"a head too long, of a page":    {head("/", field(100<<10)), 431},
			"many headers":                  {head("/events", fields(1000)...), 200},
			"too many headers":              {head("/events", fields(20_000)...), 431},
			"a path too long":               {head("/" + strings.Repeat("x", 100<<10)), 431},
			"a query too long":              {head("/events?x=" + strings.Repeat("x", 9<<10)), 400},
			"a query far too long":          {head("/events?x=" + strings.Repeat("x", 100<<10)), 431},
			"an id too long":                {head("/events", "Last-Event-ID: "+strings.Repeat("9", 10<<10)), 200},
			"too many subjects":             {head("/events?" + strings.Repeat("subject=notifications.city.a&", 65)), 400},
			"a method too long":             {strings.Repeat("G", 100<<10) + " / HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
			"a body too long":               {"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000\r\n\r\n" + body, 413},
			"a body without Content-Length": {"POST /publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n" + body + "\r\n0\r\n\r\n", 413},
			"a body for the other publish":  {"POST /api/events/send-message HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000\r\n\r\n" + body, 413},
		} {
			if got := r.raw(secure, c.request); got != c.status {
				t.Errorf("%s: %d, want %d", name, got, c.status)
			}
		}
	})
}

// TestRequests_SlowSenders_AreDisconnected checks that a slow head does not keep a connection beyond the timeout.
func TestRequests_SlowSenders_AreDisconnected(t *testing.T) {
	short := func(o *server.Options) { o.HTTP.HeadTimeout = 300 * time.Millisecond }
	inTheClearAndTLS(t, short, func(t *testing.T, r *harness, secure bool) {
		var senders sync.WaitGroup
		for _, request := range []string{"", "G", "GET /events HTTP/1.1\r\n", "GET / HTTP/1.1\r\n", "POST /publish HTTP/1.1\r\n"} {
			senders.Go(func() {
				c := r.dial(secure)
				_, _ = io.WriteString(c, request)
				stop := make(chan struct{})
				var dribbling sync.WaitGroup
				dribbling.Go(func() {
					for tick := time.NewTicker(20 * time.Millisecond); ; {
						select {
						case <-stop:
							return
						case <-tick.C:
							if request != "" {
								_, _ = io.WriteString(c, "x") // part of a header that never ends
							}
						}
					}
				})
				_, err := io.Copy(io.Discard, c)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%q…: the connection is still open", request)
				}
				close(stop)
				dribbling.Wait()
			})
		}
		senders.Wait()
	})
}

func TestSecurityHeaders_EveryRoute_HasThem(t *testing.T) {
	eachEngine(t, testSecurityHeadersEveryRouteHasThem)
}

func testSecurityHeadersEveryRouteHasThem(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.HTTP.CORSOrigins = []string{"https://app.example.com"} })
	get := func(path string) http.Header {
		req, _ := http.NewRequest(http.MethodGet, r.base+path, nil)
		req.Header.Set("Origin", "https://app.example.com")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "https://app.example.com" {
			t.Errorf("%s: allowed for %q", path, got)
		}
		return resp.Header
	}
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	for _, path := range []string{"/", "/healthz", "/readyz", "/nothing", "/publish", "/events?from=yesterday"} {
		h := get(path)
		for name, value := range want {
			if got := h.Get(name); got != value {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		if path == "/" && !strings.Contains(policy, "script-src 'self'; style-src 'self'") {
			t.Errorf("the console's policy is %q", policy)
		}
	}
	if h := get("/events"); h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("a stream: %v", h)
	}
}

// TestLog_Tokens_AreNotWritten runs a node with the lowest log level, and makes requests that the log may quote.
func TestLog_Tokens_AreNotWritten(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0.c2lnbmF0dXJl"
	var log testkit.Log
	noisy := func(o *server.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
		o.Limits = feedhttp.Limits{ConnectsPerSecond: 1, ConnectsBurst: 100}
	}
	test := func(t *testing.T, r *harness, secure bool) {
		q := "access_token=" + token
		for _, request := range []string{
			"GET /events?" + q + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /events?from=all&" + q + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /events?from=yesterday&" + q + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /events?" + q + "%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /events?" + q + ";x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /events?" + q + "&pad=" + strings.Repeat("x", 9<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET /events?" + q + " HTTP/9.9\r\nHost: localhost\r\n\r\n",
			"GET /events?" + q + " HTTP/1.1\r\nHost: a b\r\n\r\n",
			"GET /nothing?" + q + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"GET http://%zz/events?" + q + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"BREW /events?" + q + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"POST /publish?" + q + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{",
			"GET /events?" + q + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\nX-Long: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
		} {
			r.raw(secure, request)
		}
		for range 100 {
			r.raw(secure, "GET /events?"+q+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		if secure {
			c := r.dial(false) // a request in the clear, which fails the handshake
			_, _ = io.WriteString(c, "GET /events?"+q+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}
		r.stop()
	}
	t.Run("clear", func(t *testing.T) { test(t, newHarness(t, noisy), false) })
	t.Run("tls", func(t *testing.T) { test(t, newTLSRig(t, noisy), true) })
	text := log.String()
	for _, must := range []string{"connection closed", "too many connects from one address", "TLS handshake"} {
		if !strings.Contains(text, must) {
			t.Errorf("the log has no %q; the test checks nothing", must)
		}
	}
	for line := range strings.Lines(text) {
		for part := range strings.SplitSeq(token, ".") {
			if strings.Contains(line, part) {
				t.Errorf("logged: %s", line)
			}
		}
	}
}
