//go:build linux

package engine_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/testkit"
)

// keptHarness is a server whose responses name the engine or the server, and end: /page is the server's, and
// /stream and /refuse are the engine's.
type keptHarness struct {
	t       *testing.T
	engine  *engine.Engine
	server  *http.Server
	sockets *engine.Sockets
	secure  bool
	addr    string
}

// eachTransport runs a test without and with TLS.
func eachTransport(t *testing.T, test func(t *testing.T, secure bool)) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "tls"}[secure], func(t *testing.T) {
			t.Parallel()
			test(t, secure)
		})
	}
}

func newKeptHarness(t *testing.T, secure bool, opts engine.ListenerOptions) *keptHarness {
	t.Helper()
	if opts.Sockets == nil {
		opts.Sockets = engine.NewSockets(engine.SocketOptions{})
	}
	k := &keptHarness{t: t, engine: newEngine(t), sockets: opts.Sockets, secure: secure}
	k.server = &http.Server{Handler: k.handler("server")}
	if secure {
		k.server.TLSConfig = testTLS(t)
	}
	opts.Handler = k.handler("engine")
	opts.IsSubscribe = func(path string) bool { return path != "/page" }
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := k.engine.Attach(k.server, inner, opts)
	if err != nil {
		t.Fatal(err)
	}
	k.addr = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { _ = k.server.Serve(l) })
	t.Cleanup(func() {
		_ = k.server.Close()
		k.engine.Close()
		serving.Wait()
		if s := k.sockets.Status(); s.Open != 0 || s.Idle != 0 {
			t.Errorf("at the end: %+v", s)
		}
	})
	return k
}

// handler answers with a complete response. It has the value of ?name, and ?size further bytes.
func (k *keptHarness) handler(who string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("size"), &size)
		text := fmt.Sprintf("%s %s %v %s\n", who, r.URL.Query().Get("name"), r.TLS != nil, strings.Repeat("x", size))
		switch r.URL.Path {
		case "/stream":
			k.engine.Serve(w, r, &once{text: text}, engine.Options{})
		case "/refuse":
			http.Error(w, text, http.StatusTooManyRequests)
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = io.WriteString(w, text)
		}
	})
}

// once is a source of one frame, with which its response is complete.
type once struct {
	text string
}

func (o *once) Start(engine.Waker) {}
func (o *once) Ended(error, int64) {}

func (o *once) Append(dst []byte, _ engine.WriteTurn) ([]byte, time.Time, error) {
	return append(dst, o.text...), time.Time{}, engine.ErrComplete
}

func (k *keptHarness) dial() rawConn {
	k.t.Helper()
	return k.dialBy(new(net.Dialer))
}

func (k *keptHarness) dialBy(d *net.Dialer) rawConn {
	k.t.Helper()
	c, err := d.Dial("tcp", k.addr)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	raw := rawConn{c, c.(*net.TCPConn)}
	if k.secure {
		raw.Conn = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return raw
}

// body reads a response and its body.
func (k *keptHarness) body(from *bufio.Reader) string {
	k.t.Helper()
	resp, err := http.ReadResponse(from, nil)
	if err != nil {
		k.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(body)
}

// Every kind of response of the engine that ends leaves the connection open for a further request, and the
// engine reads that one, too. A request for the server passes the connection to it for good.
func TestKept_ResponseEnds_ConnectionServesFurtherRequests(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		k := newKeptHarness(t, secure, engine.ListenerOptions{})
		c := k.dial()
		in := bufio.NewReader(c)
		for i, step := range []struct{ path, who string }{
			{"/stream", "engine"}, {"/refuse", "engine"}, {"/nothing", ""}, {"/stream?size=300000", "engine"}, {"/stream", "engine"},
			{"/page", "server"}, {"/page", "server"}, {"/stream", "server"}, {"/stream", "engine"}, {"/refuse", "engine"}, {"/page?size=70000", "server"},
		} {
			path := step.path
			if !strings.Contains(path, "?") {
				path += "?"
			}
			_, _ = io.WriteString(c, get(fmt.Sprintf("%s&name=n%d", path, i)))
			got := k.body(in)
			if want := fmt.Sprintf("%s n%d %v ", step.who, i, secure); step.who != "" && !strings.HasPrefix(got, want) {
				t.Errorf("%d: got %.60q, want %q", i, got, want)
			}
		}
		if s := k.sockets.Status(); s.Open != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Requests that are sent at once, or in pieces, are answered in order, each once.
func TestKept_Pipelined_AnsweredInOrder(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		k := newKeptHarness(t, secure, engine.ListenerOptions{})
		for _, piece := range []int{1, 7, 100, 1 << 20} {
			c := k.dial()
			var all strings.Builder
			const requests = 60
			for i := range requests {
				path := []string{"/stream", "/refuse", "/page"}[i/20]
				all.WriteString(get(fmt.Sprintf("%s?name=n%d&size=%d", path, i, i*100)))
			}
			go func() {
				for rest := all.String(); rest != ""; rest = rest[min(piece, len(rest)):] {
					if _, err := io.WriteString(c, rest[:min(piece, len(rest))]); err != nil {
						return
					}
				}
			}()
			in := bufio.NewReader(c)
			for i := range requests {
				if got := k.body(in); !strings.Contains(got, fmt.Sprintf(" n%d ", i)) {
					t.Fatalf("pieces of %d: response %d is %.60q", piece, i, got)
				}
			}
		}
	})
}

// The standard client reuses the connection.
func TestKept_StandardClient_ReusesConnection(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		k := newKeptHarness(t, secure, engine.ListenerOptions{})
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer tr.CloseIdleConnections()
		scheme := map[bool]string{false: "http://", true: "https://"}[secure]
		reused := 0
		for i := range 20 {
			trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
				if info.Reused {
					reused++
				}
			}}
			req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, scheme+k.addr+"/stream?size=1000", nil)
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(i, err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n < 1000 || err != nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			_ = resp.Body.Close()
		}
		if reused != 19 {
			t.Errorf("%d requests on a reused connection", reused)
		}
	})
}

// The client decides about its connection: "Connection: close" ends it, and so does a disconnect between
// requests.
func TestKept_ClientCloses_ConnectionEnds(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		k := newKeptHarness(t, secure, engine.ListenerOptions{})
		for _, path := range []string{"/stream", "/refuse"} {
			c := k.dial()
			in := bufio.NewReader(c)
			_, _ = io.WriteString(c, get(path, "Connection: close"))
			resp, err := http.ReadResponse(in, nil)
			if err != nil || !resp.Close {
				t.Fatalf("%s: %v, Close %v", path, err, resp != nil && resp.Close)
			}
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("%s: after the response: %v", path, err)
			}
		}
		for _, leave := range leavings {
			c := k.dial()
			_, _ = io.WriteString(c, get("/stream"))
			k.body(bufio.NewReader(c))
			leave(c)
		}
		testkit.Eventually(t, waitTimeout, "all sockets are released", func() bool { return k.sockets.Status().Open == 0 })
	})
}

// A connection without a further request is closed after IdleTimeout. A connection with a part of a request is
// closed after HeadTimeout.
func TestKept_NoFurtherRequest_ClosedInTime(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		k := newKeptHarness(t, secure, engine.ListenerOptions{IdleTimeout: 100 * time.Millisecond, HeadTimeout: time.Second})
		for _, part := range []string{"", "GET /str"} {
			c := k.dial()
			in := bufio.NewReader(c)
			_, _ = io.WriteString(c, get("/stream")+part)
			k.body(in)
			if _, err := in.ReadByte(); err != io.EOF { // with TLS, EOF means close_notify
				t.Errorf("%q: %v", part, err)
			}
		}
	})
}

// When its listener is closed, idle connections are closed, and other connections end with their response.
func TestKept_ListenerCloses_IdleConnectionsEnd(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		k := newKeptHarness(t, secure, engine.ListenerOptions{})
		c := k.dial()
		in := bufio.NewReader(c)
		_, _ = io.WriteString(c, get("/stream"))
		k.body(in)
		ctx := t.Context()
		if err := k.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if _, err := in.ReadByte(); err == nil {
			t.Error("the idle connection is open")
		}
		testkit.Eventually(t, waitTimeout, "the socket is released", func() bool { return k.sockets.Status().Open == 0 })
	})
}

// Idle connections of the engine make room for new ones, the longest idle first. The others stay open.
func TestKept_SocketLimit_LongestIdleCloses(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		const limit = 3
		k := newKeptHarness(t, secure, engine.ListenerOptions{Sockets: engine.NewSockets(engine.SocketOptions{Max: limit})})
		var readers []*bufio.Reader
		var conns []rawConn
		ask := func(i int) string {
			_, _ = io.WriteString(conns[i], get(fmt.Sprintf("/stream?name=n%d", i)))
			return k.body(readers[i])
		}
		for i := range limit + 2 {
			conns = append(conns, k.dial())
			readers = append(readers, bufio.NewReader(conns[i]))
			ask(i)
			testkit.Eventually(t, waitTimeout, "the socket is idle", func() bool { return k.sockets.Status().Idle == min(i+1, limit) })
		}
		for i := range 2 {
			if _, err := readers[i].ReadByte(); err == nil {
				t.Errorf("connection %d is open", i)
			}
		}
		for i := 2; i < limit+2; i++ {
			if got := ask(i); !strings.Contains(got, fmt.Sprintf("n%d", i)) {
				t.Errorf("connection %d: %q", i, got)
			}
		}
		if s := k.sockets.Status(); s.IdleClosed != 2 || s.Refused != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A client that ends its sending side receives the whole of a response that is complete, as from net/http. A
// response that continues ends.
func TestKept_HalfClosed_ReceivesCompleteResponse(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		k := newKeptHarness(t, secure, engine.ListenerOptions{SendBuffer: 16 << 10})
		const size = 4 << 20 // more than the buffers of the kernel
		for _, path := range []string{"/stream", "/refuse", "/page"} {
			c := k.dialBy(smallPeer())
			_, _ = io.WriteString(c, get(fmt.Sprintf("%s?size=%d", path, size)))
			_ = c.CloseWrite()
			in := bufio.NewReader(c)
			if got := k.body(in); len(got) < size {
				t.Errorf("%s: %d bytes", path, len(got))
			}
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("%s: after the response: %v", path, err)
			}
		}
	})
}
