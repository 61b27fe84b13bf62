//go:build linux

package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// greeter is a source with one frame. Its connection stays open.
type greeter struct {
	text  string
	said  bool
	ended chan error
}

func (g *greeter) Start(engine.Waker)       {}
func (g *greeter) Ended(err error, _ int64) { g.ended <- err }

func (g *greeter) Append(dst []byte, _ engine.WriteTurn) ([]byte, time.Time, error) {
	if g.said {
		return dst, time.Time{}, nil
	}
	g.said = true
	return append(dst, g.text...), time.Time{}, nil
}

// headTimeout is long enough for a client on a busy machine.
const headTimeout = 3 * time.Second

// listenerHarness is a server behind an engine's listener. Responses name the engine or the server.
type listenerHarness struct {
	t      *testing.T
	engine *engine.Engine
	addr   string
	ended  chan error
	gate   chan struct{} // handlers of ?wait wait until it is closed
}

func newListenerHarness(t *testing.T, listen string) *listenerHarness {
	t.Helper()
	e, err := engine.New()
	if err != nil {
		t.Fatal(err)
	}
	r := &listenerHarness{t: t, engine: e, ended: make(chan error, 10_000), gate: make(chan struct{})}
	inner, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: r.handler("server"), Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	l, err := e.Attach(srv, inner, engine.ListenerOptions{
		Handler: r.handler("front"), HeadTimeout: headTimeout, SendBuffer: socketBuffers,
		IsSubscribe: func(path string) bool { return strings.HasPrefix(path, "/stream") },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	r.addr = "127.0.0.1:" + port
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	t.Cleanup(func() {
		_ = srv.Close()
		e.Close()
		serving.Wait()
	})
	return r
}

// handler serves an event stream below /stream, rejects with ?refuse, panics with ?panic, and waits for
// the gate with ?wait.
func (r *listenerHarness) handler(who string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Who", who)
		if req.URL.Query().Has("wait") {
			<-r.gate
		}
		local, _ := req.Context().Value(http.LocalAddrContextKey).(net.Addr)
		switch {
		case req.URL.Query().Has("refuse"):
			http.Error(w, "no", http.StatusForbidden)
		case req.URL.Query().Has("panic"):
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(req.URL.Path, "/stream"):
			text := fmt.Sprintf("%s from %s at %s for %s\n\n", req.Header.Get("X-Name"), req.RemoteAddr, local, req.Host)
			r.engine.Serve(w, req, &greeter{text: text, ended: r.ended}, engine.Options{})
		default:
			body, _ := io.ReadAll(req.Body)
			fmt.Fprintf(w, "page %s %s", req.Method, body)
		}
	})
}

func (r *listenerHarness) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	return c
}

// request writes a request and reads the head of its response.
func (r *listenerHarness) request(c net.Conn, request string) (*http.Response, *bufio.Reader) {
	r.t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		r.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		r.t.Fatalf("%.60q: %v", request, err)
	}
	return resp, br
}

func get(path string, header ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + strings.Join(append(header, ""), "\r\n") + "\r\n"
}

// The engine answers subscribe requests. The server receives all others with all their bytes.
func TestListener_SubscribeOrOther_AnsweredByEngineOrServer(t *testing.T) {
	r := newListenerHarness(t, "127.0.0.1:0")
	long := "X-Long: " + strings.Repeat("x", 20<<10)
	for name, c := range map[string]struct{ request, who, body string }{
		"a stream":               {get("/stream?a=b", "X-Name: n"), "front", "n from "},
		"a page":                 {get("/page"), "server", "page GET "},
		"a post":                 {"POST /stream-not HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", "server", " from "},
		"a post with late body":  {"POST /page HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", "server", "page POST body"},
		"a body":                 {"GET /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx", "server", " from "},
		"a chunked body":         {get("/stream", "Transfer-Encoding: chunked"), "server", " from "},
		"HTTP/1.0":               {"GET /stream HTTP/1.0\r\n\r\n", "server", " from "},
		"an upgrade":             {get("/stream", "Upgrade: h3"), "server", " from "},
		"a long head":            {get("/stream", long), "server", " from "},
		"an encoded path":        {get("/%73tream"), "server", " from "},
		"a refusal by the front": {get("/stream?refuse"), "front", "no\n"},
		"bare line ends":         {"GET /stream HTTP/1.1\nHost: h\n\n", "server", " from "},
	} {
		t.Run(name, func(t *testing.T) {
			resp, _ := r.request(r.dial(), c.request)
			buf := make([]byte, 400)
			n, _ := io.ReadAtLeast(resp.Body, buf, 1)
			if who := resp.Header.Get("X-Who"); who != c.who || !strings.Contains(string(buf[:n]), c.body) {
				t.Errorf("%s answered %q, want %s with %q", who, buf[:n], c.who, c.body)
			}
		})
	}
	for name, request := range map[string]string{
		"no host": "GET /stream HTTP/1.1\r\n\r\n", "a header that is none": get("/stream", "a b"),
		"a space before the colon": get("/stream", "X-User : alice"), "a tab before the colon": get("/stream", "X-User\t: alice"),
		"a name with a space": get("/stream", "X User: alice"), "an empty name": get("/stream", ": alice"), "a name in another script": get("/stream", "X-Üser: alice"),
		"a control character in a value": get("/stream", "X-User: a\x01b"), "DEL in a value": get("/stream", "X-User: a\x7fb"),
	} {
		if resp, _ := r.request(r.dial(), request); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}

// A request that arrives byte by byte is answered, by the engine and by the server.
func TestDribbledRequest(t *testing.T) {
	r := newListenerHarness(t, "127.0.0.1:0")
	for who, request := range map[string]string{"front": get("/stream"), "server": get("/page")} {
		c := r.dial()
		_ = c.(*net.TCPConn).SetNoDelay(true)
		for i := range len(request) - 1 {
			if _, err := io.WriteString(c, request[i:i+1]); err != nil {
				t.Fatal(err)
			}
			if i%8 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		if resp, _ := r.request(c, request[len(request)-1:]); resp.Header.Get("X-Who") != who {
			t.Errorf("%s answered, want %s", resp.Header.Get("X-Who"), who)
		}
	}
}

// A handler sees the remote and the local address, as in net/http.
func TestRequestAddresses(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0", ":0"} {
		r := newListenerHarness(t, listen)
		c := r.dial()
		resp, _ := r.request(c, get("/stream", "X-Name: n"))
		want := fmt.Sprintf("n from %s at %s for h\n", c.LocalAddr(), c.RemoteAddr())
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != want || err != nil {
			t.Errorf("%s: got %q, want %q", listen, line, want)
		}
	}
}

// A browser reuses its connection for an event stream.
func TestStreamAfterPage(t *testing.T) {
	r := newListenerHarness(t, "127.0.0.1:0")
	c := r.dial()
	resp, _ := r.request(c, get("/page"))
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp, _ = r.request(c, get("/stream")); resp.Header.Get("X-Who") != "server" {
		t.Error("the engine's listener saw a second request")
	}
	c.Close()
	if err := <-r.ended; !errors.Is(err, engine.ErrGone) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestHTTP2BehindTheFront(t *testing.T) {
	r := newListenerHarness(t, "127.0.0.1:0")
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/stream", nil)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.Header.Get("X-Who") != "server" {
		t.Errorf("%s by %s", resp.Proto, resp.Header.Get("X-Who"))
	}
}

// A panic ends the connection. So do clients that send nothing, or an incomplete request.
func TestEndsWithoutAStream(t *testing.T) {
	r := newListenerHarness(t, "127.0.0.1:0")
	for name, request := range map[string]string{"panic": get("/stream?panic"), "silence": "", "half": "GET /str"} {
		c := r.dial()
		start := time.Now()
		_, _ = io.WriteString(c, request)
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		if took := time.Since(start); name != "panic" && took < headTimeout {
			t.Errorf("%s: given up after %v", name, took)
		}
	}
}

// Many clients connect and disconnect at every stage of a request.
func TestListener_DisconnectsAtEveryStage_AllReleased(t *testing.T) {
	r := newListenerHarness(t, "127.0.0.1:0")
	const clients, rounds = 8, 60
	var work sync.WaitGroup
	for client := range clients {
		work.Go(func() {
			for n := range rounds {
				c := r.dial()
				switch name := fmt.Sprintf("%d-%d", client, n); n % 4 {
				case 0:
					_, _ = io.WriteString(c, "GET /st")
				case 1:
					_, _ = io.WriteString(c, get("/stream"))
				default:
					resp, _ := r.request(c, get("/stream", "X-Name: "+name))
					if line, _ := bufio.NewReader(resp.Body).ReadString(' '); line != name+" " {
						t.Errorf("asked as %s, answered as %s", name, line)
					}
				}
				c.Close()
			}
		})
	}
	work.Wait()
	for range clients * rounds / 2 {
		<-r.ended // of the answered requests; the others were closed while their request was read
	}
}

// Blocked handlers do not prevent other connections, independent of their number.
func TestListener_BlockedHandlers_OthersAccepted(t *testing.T) {
	r := newListenerHarness(t, "127.0.0.1:0")
	const waiting = 200
	conns := make([]net.Conn, waiting)
	for i := range conns {
		conns[i] = r.dial()
		_, _ = io.WriteString(conns[i], get("/stream?wait", fmt.Sprintf("X-Name: %d", i)))
	}
	for range 20 {
		if resp, _ := r.request(r.dial(), get("/stream", "X-Name: x")); resp.StatusCode != http.StatusOK {
			t.Error(resp.Status)
		}
	}
	if resp, _ := r.request(r.dial(), get("/page")); resp.Header.Get("X-Who") != "server" {
		t.Errorf("a page: %v", resp.Header)
	}
	close(r.gate)
	for i, c := range conns {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if line, _ := bufio.NewReader(resp.Body).ReadString(' '); line != fmt.Sprintf("%d ", i) {
			t.Errorf("asked as %d, answered as %s", i, line)
		}
	}
}

// The bytes that the engine has read of a request for the server reach the server unchanged, with many
// concurrent requests.
func TestListener_RequestForServer_PassedWhole(t *testing.T) {
	r := newListenerHarness(t, "127.0.0.1:0")
	var work sync.WaitGroup
	for client := range 16 {
		work.Go(func() {
			for n := range 50 {
				name := fmt.Sprintf("%d-%d-%s", client, n, strings.Repeat("x", 10*(client+n)))
				c := r.dial()
				resp, br := r.request(c, get("/stream", "X-Name: "+name, "Upgrade: something"))
				if resp.Header.Get("X-Who") != "server" {
					t.Error("the engine answered what asks for an upgrade")
				}
				resp.Body = io.NopCloser(br)
				if text, _ := br.ReadString('\n'); !strings.HasSuffix(text, "\r\n") {
					t.Errorf("chunk %q", text)
				}
				if line, _ := br.ReadString(' '); line != name+" " {
					t.Errorf("asked as %s, answered as %s", name, line)
				}
				c.Close()
			}
		})
	}
	work.Wait()
}

// A closed listener accepts no connections. Open connections stay open.
func TestListener_Closed_ConnectionsStayOpen(t *testing.T) {
	e, err := engine.New()
	if err != nil {
		t.Fatal(err)
	}
	inner, _ := net.Listen("tcp", "127.0.0.1:0")
	l, err := e.Attach(new(http.Server), inner, engine.ListenerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() { _, err := l.Accept(); waiting <- err }()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("a connection to a closed listener")
	}
	if err := l.Close(); err != nil {
		t.Error("closed again: ", err)
	}
	e.Close()
}
