package engine_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// eachProtocol runs a test with every protocol.
func eachProtocol(t *testing.T, test func(t *testing.T, proto string)) {
	for _, proto := range []string{"http1", "h2", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			test(t, proto)
		})
	}
}

// socketBuffers is small, so that tests fill the kernel's buffers with few bytes. It is large enough for
// two segments of the loopback interface: below that TCP waits for timers.
const socketBuffers = 128 << 10

// pair is a server with one handler, and a client whose socket can be frozen.
type pair struct {
	t      testing.TB
	server *httptest.Server
	ctx    context.Context
	result chan error // the result of the handler

	buffer int
	proto  string
	wrap   func(net.Listener) net.Listener // nil for no wrapper

	attachTo *engine.Engine // for the protocols of isAttached

	mu    sync.Mutex
	conns []*frozenConn
}

// setup configures a pair. The zero value is usable.
type setup struct {
	proto  string
	opts   engine.Options
	http2  *http.HTTP2Config // of the server
	window int               // the flow-control window of the client over HTTP/2
	buffer int               // of the sockets; socketBuffers if zero
}

func newPair(t *testing.T, with setup, handler func(context.Context, *engine.Response) error) *pair {
	p := &pair{result: make(chan error, 1)}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Kept", "yes")
		s := engine.Open(w, with.opts)
		p.result <- handler(r.Context(), s)
		s.Abort()
	}))
	p.start(with)
	var cancel context.CancelFunc
	p.ctx, cancel = context.WithTimeout(context.Background(), waitTimeout)
	t.Cleanup(func() {
		cancel()
		p.thaw()
		p.server.Close()
	})
	return p
}

func (p *pair) start(with setup) {
	p.buffer = cmp.Or(with.buffer, socketBuffers)
	p.server.Config.HTTP2, p.server.Config.ErrorLog = with.http2, log.New(io.Discard, "", 0)
	p.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetWriteBuffer(p.buffer)
		}
		return ctx
	}
	if p.wrap != nil {
		p.server.Listener = p.wrap(p.server.Listener)
	}
	p.proto = with.proto
	tr := p.startServer(with.proto)
	if with.window > 0 {
		tr.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: with.window, MaxReceiveBufferPerConnection: with.window}
	}
	tr.DialContext = p.dial
}

func (p *pair) startServer(proto string) *http.Transport {
	if p.server.EnableHTTP2 = proto == "h2"; p.server.EnableHTTP2 {
		p.server.StartTLS()
		return p.server.Client().Transport.(*http.Transport)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(proto != "h2c")
	protocols.SetUnencryptedHTTP2(proto == "h2c")
	p.server.Config.Protocols = protocols
	if isAttached(proto) {
		p.attach()
	}
	p.server.Start()
	if proto == "tls" {
		p.server.URL = strings.Replace(p.server.URL, "http:", "https:", 1)
		p.server.Client().Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	tr := p.server.Client().Transport.(*http.Transport)
	tr.Protocols = protocols
	return tr
}

// attach attaches the listener to the engine, for all paths.
func (p *pair) attach() {
	if p.proto == "tls" {
		p.server.Config.TLSConfig = testTLS(p.t)
	}
	l, err := p.attachTo.Attach(p.server.Config, p.server.Listener, engine.ListenerOptions{
		IsSubscribe: func(string) bool { return true }, SendBuffer: p.buffer,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.server.Listener = l
}

func (p *pair) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetReadBuffer(p.buffer)
	frozen := &frozenConn{Conn: c}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, frozen)
	return frozen, nil
}

func (p *pair) get(t *testing.T) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, p.server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func (p *pair) freeze() { p.each((*frozenConn).freeze) }
func (p *pair) thaw()   { p.each((*frozenConn).thaw) }

func (p *pair) each(do func(*frozenConn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		do(c)
	}
}

// frozenConn simulates a peer that sleeps or has lost its network. While it is frozen, it does not read
// from the socket.
type frozenConn struct {
	net.Conn
	mu     sync.Mutex
	thawed chan struct{} // nil unless it is frozen
}

func (c *frozenConn) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.thawed == nil {
		c.thawed = make(chan struct{})
	}
}

func (c *frozenConn) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.thawed != nil {
		close(c.thawed)
		c.thawed = nil
	}
}

func (c *frozenConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	thawed := c.thawed
	c.mu.Unlock()
	if thawed != nil {
		<-thawed
	}
	return c.Conn.Read(b)
}

// Frames of all sizes arrive whole and in order, large ones in pieces, and are counted.
func TestFrames(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		var frames [][]byte
		for i, size := range []int{1, 0, 100, 16<<10 - 101, 1, 16 << 10, 16<<10 + 1, 300 << 10, 7} {
			frames = append(frames, bytes.Repeat([]byte{byte('a' + i)}, size))
		}
		want := bytes.Join(frames, nil)
		var stream *engine.Response
		p := newPair(t, setup{proto: proto}, func(_ context.Context, s *engine.Response) error {
			stream = s
			for range 2 {
				if err := s.Write(frames...); err != nil {
					return err
				}
			}
			return s.Write()
		})
		resp := p.get(t)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Kept") != "yes" {
			t.Errorf("%s with %v", resp.Status, resp.Header)
		}
		got, err := io.ReadAll(resp.Body)
		if err == nil {
			t.Error("the stream ended cleanly")
		}
		if !bytes.Equal(got, append(bytes.Clone(want), want...)) {
			t.Errorf("%d bytes arrived, %d were written", len(got), 2*len(want))
		}
		if err := <-p.result; err != nil || stream.Written() != int64(len(got)) {
			t.Errorf("error %v, %d bytes counted, %d arrived", err, stream.Written(), len(got))
		}
	})
}

// Written bytes arrive without a later write.
func TestEachWriteIsFlushed(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		heard := make(chan struct{})
		p := newPair(t, setup{proto: proto}, func(_ context.Context, s *engine.Response) error {
			for range 3 {
				if err := s.Write([]byte("tick\n")); err != nil {
					return err
				}
				<-heard
			}
			return nil
		})
		resp := p.get(t)
		for range 3 {
			var tick [5]byte
			if _, err := io.ReadFull(resp.Body, tick[:]); err != nil {
				t.Fatal(err)
			}
			heard <- struct{}{}
		}
	})
}

// A response without writes stays open, independent of the timeout.
func TestSilence(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const timeout = time.Second // long enough for a write on a busy machine
		p := newPair(t, setup{proto: proto, opts: engine.Options{WriteTimeout: timeout}}, func(ctx context.Context, s *engine.Response) error {
			err := s.Write([]byte("before\n"))
			select {
			case <-time.After(3 * timeout):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			return errors.Join(err, s.Write([]byte("after\n")))
		})
		text, _ := io.ReadAll(p.get(t).Body)
		if err := <-p.result; err != nil || string(text) != "before\nafter\n" {
			t.Errorf("got %q, error %v", text, err)
		}
	})
}

// writeUntilError writes until a write fails, and returns the duration of the last write.
func writeUntilError(took *time.Duration) func(context.Context, *engine.Response) error {
	return func(_ context.Context, s *engine.Response) error {
		frame := []byte(strings.Repeat("x", 10<<10))
		for {
			start := time.Now()
			err := s.Write(frame, frame, frame, frame, frame)
			if *took = time.Since(start); err != nil {
				return err
			}
		}
	}
}

// The client does not read the body, while its socket works.
func TestClientTakesNothing(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const timeout = 100 * time.Millisecond
		var took time.Duration
		p := newPair(t, setup{proto: proto, opts: engine.Options{WriteTimeout: timeout}}, writeUntilError(&took))
		resp := p.get(t)
		err := <-p.result
		if proto == "http1" && !errors.Is(err, os.ErrDeadlineExceeded) || took < timeout {
			t.Errorf("after %v: %v", took, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Error("the stream ended cleanly")
		}
	})
}

// Over HTTP/2 the end of a response must be written too, which fails on a frozen socket. The server's
// pings detect that.
func TestFrozenPeer(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const timeout = time.Second // long enough for a handshake and pings on a busy machine
		frozen := make(chan struct{})
		p := newPair(t, setup{
			proto: proto, opts: engine.Options{WriteTimeout: timeout},
			http2: &http.HTTP2Config{SendPingTimeout: timeout, PingTimeout: timeout},
		}, func(ctx context.Context, s *engine.Response) error {
			if err := s.Write([]byte("the line stands\n")); err != nil {
				return err
			}
			<-frozen
			return writeUntilError(new(time.Duration))(ctx, s)
		})
		p.get(t)
		p.freeze()
		close(frozen)
		select {
		case <-p.result:
		case <-p.ctx.Done():
			t.Error("the handler hangs")
		}
	})
}

// A client that reads slowly, for longer than the timeout, is not disconnected.
func TestSlowClient(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const timeout, total = 2 * time.Second, 2 << 20
		p := newPair(t, setup{proto: proto, opts: engine.Options{WriteTimeout: timeout}, window: 64 << 10}, func(_ context.Context, s *engine.Response) error {
			return s.Write(make([]byte, total))
		})
		body, start := p.get(t).Body, time.Now()
		got := 0
		for buf := make([]byte, total/64); got < total; time.Sleep(timeout / 32) {
			n, err := body.Read(buf)
			if got += n; err != nil {
				break
			}
		}
		if err := <-p.result; err != nil || got != total {
			t.Errorf("cut off after %v with %d of %d bytes: %v", time.Since(start), got, total, err)
		}
		if took := time.Since(start); took < timeout {
			t.Errorf("the client was not slow: %v", took)
		}
	})
}

// A writer without deadlines is rejected, because it could block forever.
func TestNoDeadlines(t *testing.T) {
	s := engine.Open(httptest.NewRecorder(), engine.Options{})
	if err := s.Write([]byte("x")); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("error %v", err)
	}
}
