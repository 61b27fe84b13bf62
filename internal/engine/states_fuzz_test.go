//go:build linux

package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
)

// The operations of a model run. Each is the low half of a byte, and the high half is its argument.
const (
	opSmallFrame = iota
	opLargeFrame
	opDue
	opComplete
	opFail
	opSpuriousWakes
	opReadLittle
	opReadAll
	opRequest
	opHalfClose
	opClose
	opReset
	opPause
	opConnect
	opCloseListener
	opCloseEngine
)

// modelRun applies operations to the connections of an engine, and compares the result with a model.
//
// The model of a connection is a list of requests, each with its source. The client receives a response to each
// request, in order. The body of a response is a prefix of the frames that its source has appended. It is all of
// them, and the response is complete, if the source was ended with ErrComplete. The error of Ended has one of the
// operations as its reason.
type modelRun struct {
	t      testing.TB
	engine *engine.Engine
	server *http.Server
	opts   engine.Options
	secure bool
	addr   string

	sockets       *engine.Sockets
	sources       sync.Map // of *modelSource, by name
	clients       []*modelClient
	wakes         sync.WaitGroup
	serving       sync.WaitGroup
	shortTimeout  bool
	mayClose      bool // the engine may close connections between requests
	closedEngine  bool
	requestNumber int
}

// modelSource is a source of frames with a record of what it has appended.
type modelSource struct {
	*script
	name string

	mu       sync.Mutex
	pending  [][]byte
	due      time.Duration
	stop     error
	appended []byte
	end      ending
	over     chan struct{} // closed by Ended
}

func (r *modelRun) newSource() *modelSource {
	r.requestNumber++
	s := &modelSource{name: strconv.Itoa(r.requestNumber), over: make(chan struct{})}
	s.script = newScript(r.t, func(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		start := len(dst)
		for ; len(s.pending) > 0 && len(dst)-start < turn.Room; s.pending = s.pending[1:] {
			dst = append(dst, s.pending[0]...)
		}
		s.appended = append(s.appended, dst[start:]...)
		var due time.Time
		if s.due != 0 {
			due, s.due = turn.Now.Add(s.due), 0
		}
		if len(s.pending) > 0 {
			return dst, due, nil
		}
		return dst, due, s.stop
	})
	r.sources.Store(s.name, s)
	return s
}

// Ended implements engine.Source.
func (s *modelSource) Ended(err error, written int64) {
	s.script.Ended(err, written)
	select {
	case s.end = <-s.ended:
		close(s.over)
	default: // ended again; script fails the test
	}
}

// put adds a frame, the content of which differs by source and position.
func (s *modelSource) put(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frame := fmt.Appendf(nil, "%s at %d ", s.name, len(s.appended)+len(s.pending))
	s.pending = append(s.pending, append(bytes.Repeat(frame, 1+size/len(frame)), '\n'))
}

func (s *modelSource) stopWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop == nil {
		s.stop = err
	}
}

// wakeIfStarted calls Wake, also after the end of the source.
func (s *modelSource) wakeIfStarted() {
	select {
	case <-s.started:
		s.waker.Wake()
	default:
	}
}

func (s *modelSource) isOver() bool { return isClosed(s.over) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// modelClient is a client, which reads only as much as the operations allow.
type modelClient struct {
	conn     rawConn
	requests []*modelSource
	allowed  chan int // numbers of bytes; closed when it reads everything
	readsAll bool
	left     bool // the client has closed or reset the connection
	half     bool // the client has ended its sending side
	received []byte
	err      error
	done     chan struct{} // closed at the end of reading
}

func (c *modelClient) read() {
	defer close(c.done)
	buf := make([]byte, 64<<10)
	for c.err == nil {
		n, ok := <-c.allowed
		if !ok {
			n = len(buf)
		}
		n, c.err = c.conn.Read(buf[:n])
		c.received = append(c.received, buf[:n]...)
	}
}

func runModel(t testing.TB, ops []byte) {
	if len(ops) < 2 {
		return
	}
	flags, ops := ops[0], ops[1:min(len(ops), 80)]
	r := &modelRun{t: t, secure: flags&1 != 0, shortTimeout: flags&2 != 0}
	opts := engine.ListenerOptions{IsSubscribe: func(string) bool { return true }, SendBuffer: 4 << 10}
	limits := engine.SocketOptions{}
	if r.opts.WriteTimeout = time.Minute; r.shortTimeout {
		r.opts.WriteTimeout = 3 * time.Millisecond
	}
	if flags&4 != 0 {
		opts.IdleTimeout, r.mayClose = 3*time.Millisecond, true
	}
	if flags&8 != 0 {
		limits.Max, r.mayClose = 2, true
	}
	r.sockets = engine.NewSockets(limits)
	opts.Sockets = r.sockets
	r.start(opts)
	r.connect()
	for _, op := range ops {
		r.apply(int(op&15), int(op>>4))
	}
	r.finish()
	for _, c := range r.clients {
		r.check(c)
	}
	if t.Failed() {
		t.Logf("flags %d, operations %v", flags, ops)
	}
}

func (r *modelRun) start(opts engine.ListenerOptions) {
	var err error
	if r.engine, err = engine.New(); err != nil {
		r.t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = inner.Addr().String()
	r.server = &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		src, _ := r.sources.Load(req.URL.Query().Get("name"))
		w.Header().Set("X-Source", req.URL.Query().Get("name"))
		r.engine.Serve(w, req, src.(*modelSource), r.opts)
	})}
	if r.secure {
		r.server.TLSConfig = testTLS(r.t)
	}
	l, err := r.engine.Attach(r.server, inner, opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.serving.Go(func() { _ = r.server.Serve(l) })
}

// connect adds a client with a request, unless the listener is closed or the new socket exceeds the limit.
func (r *modelRun) connect() {
	d := smallPeer()
	d.Timeout = waitTimeout
	tcp, err := d.Dial("tcp", r.addr)
	if err != nil {
		return
	}
	_ = tcp.SetDeadline(time.Now().Add(waitTimeout))
	c := &modelClient{conn: rawConn{tcp, tcp.(*net.TCPConn)}, allowed: make(chan int, 100), done: make(chan struct{})}
	if r.secure {
		client := tls.Client(tcp, &tls.Config{InsecureSkipVerify: true})
		if client.Handshake() != nil {
			_ = tcp.Close()
			return
		}
		c.conn.Conn = client
	}
	r.clients = append(r.clients, c)
	r.send(c)
	go c.read()
}

// send sends a request, perhaps ahead of the response to the one before.
func (r *modelRun) send(c *modelClient) {
	if c.left || c.half || len(c.requests) >= 10 {
		return
	}
	src := r.newSource()
	if _, err := io.WriteString(c.conn, get("/?name="+src.name)); err == nil {
		c.requests = append(c.requests, src)
	}
}

func (r *modelRun) apply(op, arg int) {
	if len(r.clients) == 0 {
		return
	}
	c := r.clients[arg%len(r.clients)]
	var src *modelSource
	for _, src = range c.requests {
		if !src.isOver() {
			break // the operation is for the running response
		}
	}
	switch op {
	case opSmallFrame, opLargeFrame, opComplete, opFail, opDue:
		if src == nil {
			return
		}
		r.applyToSource(src, op, arg)
	case opSpuriousWakes:
		for _, src := range c.requests {
			r.wakes.Go(src.wakeIfStarted)
		}
	case opReadLittle:
		if !c.readsAll {
			select {
			case c.allowed <- 1 + arg*100:
			default:
			}
		}
	case opReadAll:
		c.readEverything()
	case opRequest:
		r.send(c)
	case opHalfClose:
		if !c.left && !c.half {
			c.half = true
			_ = c.conn.CloseWrite()
		}
	case opClose, opReset:
		if arg > 4 { // seldom
			return
		}
		if op == opReset {
			_ = c.conn.tcp.SetLinger(0)
		}
		c.left = true
		_ = c.conn.tcp.Close()
	case opPause:
		time.Sleep(time.Duration(arg) * 200 * time.Microsecond)
	case opConnect:
		if len(r.clients) < 4 {
			r.connect()
		}
	case opCloseListener:
		if arg == 1 {
			r.mayClose = true
			r.closeListener()
		}
	case opCloseEngine:
		if arg == 1 {
			r.closedEngine = true
			r.engine.Close()
		}
	}
}

func (r *modelRun) applyToSource(src *modelSource, op, arg int) {
	switch op {
	case opSmallFrame:
		src.put(arg)
	case opLargeFrame:
		src.put(arg << 12)
	case opComplete:
		src.stopWith(engine.ErrComplete)
	case opFail:
		src.stopWith(errOver)
	case opDue:
		src.mu.Lock()
		src.due = time.Duration(arg-2) * 100 * time.Microsecond
		src.mu.Unlock()
	}
	if arg%4 == 3 {
		r.wakes.Go(src.wakeIfStarted)
	} else {
		src.wakeIfStarted()
	}
}

func (r *modelRun) closeListener() {
	ended, cancel := context.WithCancel(context.Background())
	cancel() // so that Shutdown does not wait for the connections
	_ = r.server.Shutdown(ended)
}

func (c *modelClient) readEverything() {
	if !c.readsAll {
		c.readsAll = true
		close(c.allowed)
	}
}

// finish completes the responses, reads the rest, and ends the connections.
func (r *modelRun) finish() {
	timeout := time.After(waitTimeout)
	await := func(what string, c *modelClient, ended <-chan struct{}) {
		select {
		case <-ended:
		case <-c.done:
		case <-timeout:
			r.t.Errorf("%s", what)
		}
	}
	for _, c := range r.clients {
		c.readEverything()
	}
	for _, c := range r.clients {
		for i, src := range c.requests {
			src.stopWith(engine.ErrComplete)
			await(fmt.Sprintf("response %d does not begin", i), c, src.started)
			src.wakeIfStarted()
			await(fmt.Sprintf("response %d does not end", i), c, src.over)
		}
		_ = c.conn.tcp.CloseWrite() // without a close_notify, which might reset a socket that the server has closed
		await("the connection does not end", c, nil)
		_ = c.conn.Close()
	}
	r.wakes.Wait()
	for start := time.Now(); r.sockets.Status().Open > 0; time.Sleep(100 * time.Microsecond) {
		if time.Since(start) > waitTimeout {
			r.t.Fatal("a socket is not released")
		}
	}
	r.engine.Close()
	_ = r.server.Close()
	r.serving.Wait()
	if s := r.sockets.Status(); s.Open != 0 || s.Idle != 0 {
		r.t.Errorf("at the end: %+v", s)
	}
	if h := r.engine.Handshakes(); h.Running != 0 || h.Waiting != 0 {
		r.t.Errorf("at the end: %+v", h)
	}
}

// check compares what a client has received with the model.
func (r *modelRun) check(c *modelClient) {
	responses := parseResponses(r.t, c.received)
	if len(responses) > len(c.requests) {
		r.t.Errorf("%d responses to %d requests", len(responses), len(c.requests))
		return
	}
	for i, src := range c.requests {
		if !isClosed(src.started) {
			r.checkNotStarted(c, i)
			continue
		}
		if !src.isOver() {
			r.t.Errorf("source %d was not ended", i)
			return
		}
		r.checkReason(c, src)
		var resp modelResponse
		if i < len(responses) {
			resp = responses[i]
			if resp.source != src.name {
				r.t.Errorf("response %d is that of source %s, not %s", i, resp.source, src.name)
			}
		}
		if !bytes.HasPrefix(src.appended, resp.body) {
			r.t.Errorf("response %d: the %d bytes received are not a prefix of the %d appended", i, len(resp.body), len(src.appended))
		}
		// A response may be complete before the close of the engine, and its end not yet noticed.
		if resp.complete && src.end.err != engine.ErrComplete && src.end.err != engine.ErrClosed {
			r.t.Errorf("response %d is complete, but its source was ended with %v", i, src.end.err)
		}
		// The kernel resets a closed socket when it receives bytes, and drops those that it has not sent.
		wasReset := errors.Is(c.err, syscall.ECONNRESET) && (i+1 < len(c.requests) || c.half)
		isWhole := wasReset || len(resp.body) == len(src.appended) && (resp.complete || src.end.err == errOver)
		if (src.end.err == engine.ErrComplete || src.end.err == errOver) && !c.left && !isWhole {
			r.t.Errorf("response %d: source ended with %v after %d bytes, the client received %d, complete %v, then %v",
				i, src.end.err, len(src.appended), len(resp.body), resp.complete, c.err)
		}
	}
}

// checkNotStarted checks that there is a reason for which request i was not answered.
func (r *modelRun) checkNotStarted(c *modelClient, i int) {
	if c.left || r.mayClose || r.closedEngine || i > 0 && c.requests[i-1].end.err != engine.ErrComplete {
		return
	}
	r.t.Errorf("request %d of %d was not answered", i, len(c.requests))
}

// checkReason checks that one of the operations is the reason for the end of a source.
func (r *modelRun) checkReason(c *modelClient, src *modelSource) {
	ok := false
	switch err := src.end.err; err {
	case engine.ErrComplete, errOver:
		ok = src.stop == err
	case engine.ErrGone:
		ok = c.left || c.half
	case engine.ErrTimeout:
		ok = r.shortTimeout
	case engine.ErrClosed:
		ok = r.closedEngine
	}
	if !ok {
		r.t.Errorf("source %s was ended with %v without a reason", src.name, src.end.err)
	}
}

// modelResponse is a response, perhaps in part.
type modelResponse struct {
	source   string
	body     []byte
	complete bool
}

// parseResponses parses chunked responses. The last may be incomplete.
func parseResponses(t testing.TB, raw []byte) (all []modelResponse) {
	for len(raw) > 0 {
		head, rest, isWhole := bytes.Cut(raw, []byte("\r\n\r\n"))
		if !isWhole {
			return all
		}
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 OK\r\n")) {
			t.Errorf("not a response: %.100q", head)
			return all
		}
		var resp modelResponse
		_, name, _ := bytes.Cut(head, []byte("\r\nX-Source: "))
		name, _, _ = bytes.Cut(name, []byte("\r\n"))
		resp.source = string(name)
		resp.body, raw, resp.complete = parseChunks(t, rest)
		all = append(all, resp)
		if !resp.complete && len(raw) > 0 {
			t.Errorf("bytes after an incomplete response: %.100q", raw)
			return all
		}
	}
	return all
}

// parseChunks returns the body in raw, and the bytes behind it.
func parseChunks(t testing.TB, raw []byte) (body, rest []byte, complete bool) {
	for {
		line, data, found := bytes.Cut(raw, []byte("\r\n"))
		if !found {
			return body, nil, false
		}
		size, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			t.Errorf("not a chunk: %.100q", line)
			return body, nil, false
		}
		n := min(int(size), len(data))
		body = append(body, data[:n]...)
		if data = data[n:]; len(data) < 2 {
			return body, nil, false
		}
		if string(data[:2]) != "\r\n" {
			t.Errorf("no end of a chunk: %.100q", data)
			return body, nil, false
		}
		if raw = data[2:]; size == 0 {
			return body, raw, true
		}
	}
}

// FuzzConnStates applies arbitrary operations to a few connections, and compares the results with a model.
func FuzzConnStates(f *testing.F) {
	f.Add([]byte{0, opSmallFrame, opRequest, opLargeFrame | 15<<4, opReadLittle | 3<<4, opComplete, opSpuriousWakes, opSmallFrame})
	f.Add([]byte{1, opSmallFrame, opRequest, opLargeFrame | 15<<4, opReadAll, opComplete, opHalfClose, opSpuriousWakes})
	f.Add([]byte{2, opLargeFrame | 15<<4, opLargeFrame | 15<<4, opPause | 15<<4, opPause | 15<<4})
	f.Add([]byte{12, opComplete, opReadAll, opConnect, opComplete | 1<<4, opConnect, opPause | 15<<4})
	f.Add([]byte{1, opRequest, opRequest, opFail, opReset, opConnect, opCloseListener | 1<<4, opCloseEngine | 1<<4})
	f.Fuzz(func(t *testing.T, ops []byte) { runModel(t, ops) })
}

// Random orders of operations have the results of the model.
func TestConnStates_RandomOperations_AsTheModel(t *testing.T) {
	start := time.Now()
	for seed := range uint64(600) {
		if time.Since(start) > 4*time.Second {
			break // on a slow machine
		}
		r := rand.New(rand.NewPCG(seed, uint64(start.UnixNano())))
		ops := make([]byte, 2+r.IntN(60))
		for i := range ops {
			ops[i] = byte(r.IntN(256))
		}
		if runModel(t, ops); t.Failed() {
			return
		}
	}
}
