package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// eachServe runs a test over every implementation of Serve: http1 is the engine with connections taken over
// from net/http, attached and tls are the engine with a listener of its own, and goroutine is HTTP/1.1 without an
// engine.
func eachServe(t *testing.T, test func(t *testing.T, proto string)) {
	eachOf(t, []string{"http1", "attached", "tls", "goroutine", "h2", "h2c"}, test)
}

// usesEngine reports whether the responses of a protocol are written by an engine on this system.
func usesEngine(proto string) bool { return proto == "http1" || isAttached(proto) }

// isAttached reports whether the listener of a protocol is attached to an engine.
func isAttached(proto string) bool { return proto == "attached" || proto == "tls" }

// eachHTTP1 is eachServe for tests that use the socket itself.
func eachHTTP1(t *testing.T, test func(t *testing.T, proto string)) {
	eachOf(t, []string{"http1", "attached", "tls", "goroutine"}, test)
}

func eachOf(t *testing.T, protocols []string, test func(t *testing.T, proto string)) {
	for _, proto := range protocols {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			test(t, proto)
		})
	}
}

// waitTimeout limits every wait, so that a missing event fails the test.
const waitTimeout = time.Minute

// errOver is the error of a source.
var errOver = errors.New("the source has nothing more")

// script is a source with an Append function of the test. It checks the guarantees of the engine.
type script struct {
	t    testing.TB
	next func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error)

	started chan struct{}
	waker   engine.Waker
	inside  atomic.Bool
	calls   atomic.Int64
	over    atomic.Bool
	ended   chan ending
}

// ending records the call of Ended.
type ending struct {
	err     error
	written int64
	at      time.Time
}

func newScript(t testing.TB, next func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error)) *script {
	return &script{t: t, next: next, started: make(chan struct{}), ended: make(chan ending, 1)}
}

func (s *script) enter() (leave func()) {
	if s.inside.Swap(true) {
		s.t.Error("two methods of a source run at once")
	}
	return func() { s.inside.Store(false) }
}

// Start implements engine.Source.
func (s *script) Start(w engine.Waker) {
	defer s.enter()()
	if s.waker != nil {
		s.t.Error("a source was started again")
		return
	}
	s.waker = w
	close(s.started)
}

// Append implements engine.Source.
func (s *script) Append(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
	defer s.enter()()
	s.calls.Add(1)
	if s.over.Load() {
		s.t.Error("Append was called after Ended")
	}
	if s.waker == nil {
		s.t.Error("Append was called before Start")
	}
	return s.next(dst, turn)
}

// Ended implements engine.Source.
func (s *script) Ended(err error, written int64) {
	defer s.enter()()
	if s.over.Swap(true) {
		s.t.Errorf("a source was ended again: %v", err)
		return
	}
	s.ended <- ending{err, written, time.Now()}
}

func (s *script) wake() {
	<-s.started
	s.waker.Wake()
}

// end waits for the call of Ended.
func (s *script) end(t testing.TB) ending {
	t.Helper()
	select {
	case e := <-s.ended:
		return e
	case <-time.After(waitTimeout):
		t.Fatal("the source was not ended")
		return ending{}
	}
}

// frames is a source of frames. It returns an error with the last frame.
func frames(t testing.TB, all [][]byte, end error) *script {
	return newScript(t, func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
		for start := len(dst); len(all) > 0 && len(dst)-start < turn.Room; all = all[1:] {
			dst = append(dst, all[0]...)
		}
		if len(all) > 0 {
			return dst, time.Time{}, nil
		}
		return dst, time.Time{}, end
	})
}

// endless is a source that always has more frames.
func endless(t testing.TB) *script {
	frame := []byte(strings.Repeat("x", 10<<10))
	return newScript(t, func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
		for start := len(dst); len(dst)-start < turn.Room; {
			dst = append(dst, frame...)
		}
		return dst, time.Time{}, nil
	})
}

// standing waits until Append has not been called for a while, because the peer is blocked. A peer that is
// only slow does not affect the test.
func standing(src *script) {
	last := int64(-1)
	for same := 0; same < 15; time.Sleep(20 * time.Millisecond) {
		calls := src.calls.Load()
		if same++; calls != last {
			same, last = 0, calls
		}
	}
}

// numbers is a source of numbers, one per line, after a first line with 0.
type numbers struct {
	*script
	mu   sync.Mutex
	left []int
	stop error
}

func newNumbers(t testing.TB) *numbers {
	n := &numbers{left: []int{0}}
	n.script = newScript(t, n.send)
	return n
}

func (n *numbers) send(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for start := len(dst); len(n.left) > 0 && len(dst)-start < turn.Room; n.left = n.left[1:] {
		dst = append(strconv.AppendInt(dst, int64(n.left[0]), 10), '\n')
	}
	if len(n.left) > 0 {
		return dst, time.Time{}, nil
	}
	return dst, time.Time{}, n.stop
}

func (n *numbers) put(i int) {
	n.mu.Lock()
	n.left = append(n.left, i)
	n.mu.Unlock()
	n.wake()
}

func (n *numbers) finish(err error) {
	n.mu.Lock()
	n.stop = err
	n.mu.Unlock()
	n.wake()
}

// serving is a server that passes the source of each request to Serve.
type serving struct {
	pair
	engine *engine.Engine // nil unless the protocol is http1
}

func newServing(t testing.TB, with setup, source func(*http.Request) engine.Source) *serving {
	t.Helper()
	s := new(serving)
	if usesEngine(with.proto) {
		s.engine = newEngine(t)
	}
	s.serve(t, with, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Kept", "yes")
		s.engine.Serve(w, r, source(r), with.opts)
	})
	return s
}

func (s *serving) serve(t testing.TB, with setup, handler http.HandlerFunc) {
	s.server = httptest.NewUnstartedServer(handler)
	s.t, s.attachTo = t, s.engine
	s.start(with)
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(context.Background(), waitTimeout)
	t.Cleanup(func() {
		cancel()
		s.thaw()
		s.server.CloseClientConnections()
		s.server.Close()
	})
}

// serveOne returns a server for one request.
func serveOne(t testing.TB, with setup, src engine.Source) *serving {
	t.Helper()
	return newServing(t, with, func(*http.Request) engine.Source { return src })
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

const request = "GET / HTTP/1.1\r\nHost: tidemark\r\n\r\n"

// raw dials and sends a request unchanged.
func (s *serving) raw(t testing.TB, request string) rawConn {
	t.Helper()
	return s.rawBy(t, new(net.Dialer), request)
}

func (s *serving) rawBy(t testing.TB, d *net.Dialer, request string) rawConn {
	t.Helper()
	c, err := d.DialContext(s.ctx, "tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	raw := rawConn{c, c.(*net.TCPConn)}
	if s.proto == "tls" {
		raw.Conn = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	if _, err := io.WriteString(raw, request); err != nil {
		t.Fatal(err)
	}
	return raw
}

// rawConn is a connection of a client, and the socket below it.
type rawConn struct {
	net.Conn
	tcp *net.TCPConn
}

// CloseWrite ends the sending side of the connection.
func (c rawConn) CloseWrite() error {
	if secure, ok := c.Conn.(*tls.Conn); ok {
		_ = secure.CloseWrite()
	}
	return c.tcp.CloseWrite()
}

// lines reads the body of a response line by line.
type lines struct {
	t testing.TB
	*bufio.Scanner
}

func bodyLines(t testing.TB, body io.Reader) lines { return lines{t, bufio.NewScanner(body)} }

// rawLines reads the response from a connection.
func rawLines(t testing.TB, c net.Conn) lines {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return bodyLines(t, resp.Body)
}

// number reads the next number. The test fails if there is none.
func (l lines) number() int {
	l.t.Helper()
	if !l.Scan() {
		l.t.Fatalf("the stream ended: %v", l.Err())
	}
	n, err := strconv.Atoi(l.Text())
	if err != nil {
		l.t.Fatal(err)
	}
	return n
}

func (l lines) want(n int) {
	l.t.Helper()
	if got := l.number(); got != n {
		l.t.Fatalf("%d arrived for %d", got, n)
	}
}

// dechunk decodes a raw response. It also returns the bytes after the last complete chunk.
func dechunk(t testing.TB, raw []byte) (head http.Header, body, rest []byte) {
	t.Helper()
	i := bytes.Index(raw, []byte("\r\n\r\n"))
	if i < 0 {
		t.Fatalf("no head in %q", raw)
	}
	status, fields, _ := bytes.Cut(raw[:i+2], []byte("\r\n"))
	if string(status) != "HTTP/1.1 200 OK" {
		t.Errorf("status line %q", status)
	}
	head = http.Header{}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(fields, []byte("\r\n")), []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		head.Add(string(name), string(value))
	}
	for rest = raw[i+4:]; ; {
		line, more, found := bytes.Cut(rest, []byte("\r\n"))
		size, err := strconv.ParseUint(string(line), 16, 31)
		if !found || err != nil || len(more) < int(size)+2 || string(more[size:size+2]) != "\r\n" {
			return head, body, rest
		}
		if size == 0 {
			t.Error("the last chunk says that the stream is complete")
		}
		body, rest = append(body, more[:size]...), more[size+2:]
	}
}
