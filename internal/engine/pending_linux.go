package engine

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/sys/unix"
)

// maxHead is the size of the longest request head that the engine parses. Longer heads are passed to the
// server.
const maxHead = 16 << 10

// pendingConn is an accepted connection until the engine or the http.Server has its first request.
//
// The acceptor reads the available bytes. If the request is complete, it answers the request or passes the
// connection to the http.Server. Otherwise a loop waits for the rest, and passes the connection to a worker
// goroutine, which does the same.
type pendingConn struct {
	listener   *engineListener
	owner      *socketOwner // counts it; the owner of the socket releases it once
	from       netip.AddrPort
	fd         int32
	generation uint32
	since      time.Time
	head       []byte
	complete   bool // the engine answers the request
	watched    bool // registered with epoll
}

// watchPending registers connections with epoll for the rest of their first request.
func (l *loop) watchPending(added []*pendingConn) {
	for _, p := range added {
		l.pending[p.fd] = p
		if l.engine.watch(unix.EPOLL_CTL_ADD, p.fd, p.generation, unix.EPOLLIN) != nil {
			l.closePending(p)
		}
	}
}

// closePending closes a connection without a complete request.
func (l *loop) closePending(p *pendingConn) {
	delete(l.pending, p.fd)
	p.close()
}

// close ends the connection without a response.
func (p *pendingConn) close() {
	closeSocket(p.fd)
	p.owner.release()
}

// readAvailable reads the available bytes of a first request. It reports whether the peer has
// disconnected.
func readAvailable(fd int32, buf []byte) (n int, gone bool) {
	n, errno := read(fd, buf)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return 0, false
	}
	return n, errno != 0 || n == 0
}

// readHead reads the available bytes of a first request. A complete request goes to a worker.
func (l *loop) readHead(p *pendingConn) {
	buf := l.buf[:maxHead]
	n, gone := readAvailable(p.fd, buf)
	if gone {
		l.closePending(p)
		return
	}
	p.head = append(p.head, buf[:n]...)
	kind := p.classify()
	if kind == incomplete {
		return // epoll reports further bytes
	}
	delete(l.pending, p.fd)
	p.complete = kind == complete
	l.engine.startWorker(p)
}

// idleWorkerTimeout is the time after which a worker goroutine without a request ends.
const idleWorkerTimeout = time.Second

// startWorker passes a connection to a worker goroutine, because a handler may block. It prefers an idle
// worker: its stack has already grown, and growing it takes a tenth of the time of a connect.
func (e *Engine) startWorker(p *pendingConn) {
	select {
	case e.idleWorkers <- p:
	default:
		e.running.Go(func() { e.workerLoop(p) })
	}
}

// workerLoop handles a connection, then those that startWorker passes to an idle worker.
func (e *Engine) workerLoop(p *pendingConn) {
	idle := time.NewTimer(idleWorkerTimeout)
	defer idle.Stop()
	for {
		if p.complete {
			p.serve(e)
		} else {
			p.passToServer(e)
		}
		idle.Reset(idleWorkerTimeout)
		select {
		case p = <-e.idleWorkers:
		case <-idle.C:
			return
		case <-e.done:
			return
		}
	}
}

// headCheckInterval is the interval between checks of HeadTimeout.
const headCheckInterval = time.Second

// expireHeads closes the pending connections that exceed HeadTimeout.
func (l *loop) expireHeads(now time.Time) {
	if now.Sub(l.headsChecked) < headCheckInterval {
		return
	}
	l.headsChecked = now
	for _, p := range l.pending {
		if now.Sub(p.since) > p.listener.opts.HeadTimeout {
			l.closePending(p)
		}
	}
}

// headKind classifies the bytes of a first request by the next step of the engine.
type headKind int

const (
	incomplete  headKind = iota // wait for more bytes
	complete                    // answer the request
	passThrough                 // pass the connection to the http.Server
)

// classify decides by the bytes so far. The engine answers HTTP/1.1 subscribe requests only.
func (p *pendingConn) classify() headKind {
	line, _, whole := bytes.Cut(p.head, []byte("\n"))
	switch {
	case whole && !p.isSubscribe(line):
		return passThrough
	case bytes.HasSuffix(p.head, []byte("\r\n\r\n")) && bytes.Count(p.head, []byte("\r\n\r\n")) == 1:
		return complete
	case len(p.head) >= maxHead, !startsLike(p.head, "GET /"):
		return passThrough
	case bytes.Contains(p.head, []byte("\n\r\n")), bytes.Contains(p.head, []byte("\n\n")):
		return passThrough // more than a head, or other line ends
	}
	return incomplete
}

// isSubscribe reports whether the request line is that of a subscribe request.
func (p *pendingConn) isSubscribe(line []byte) bool {
	target, isGet := bytes.CutPrefix(line, []byte("GET "))
	target, isHTTP11 := bytes.CutSuffix(target, []byte(" HTTP/1.1\r"))
	path, _, _ := bytes.Cut(target, []byte("?"))
	return isGet && isHTTP11 && p.listener.opts.IsSubscribe(string(path))
}

// startsLike reports whether b may become something that starts with prefix.
func startsLike(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

// passToServer passes the connection to the http.Server, together with the bytes read from it.
func (p *pendingConn) passToServer(e *Engine) {
	if p.watched {
		_ = epollCtl(e.epollFD, unix.EPOLL_CTL_DEL, p.fd, nil)
	}
	p.listener.passConn(p.fd, p.owner, bytes.Clone(p.head)) // a copy, because the head may be in an acceptor's buffer
}

// headReader contains the readers for parsing a head.
type headReader struct {
	head  bytes.Reader
	lines *bufio.Reader
}

var headReaders = sync.Pool{New: func() any { return &headReader{lines: bufio.NewReaderSize(nil, 1<<10)} }}

// request parses the head. It returns nil for requests that the http.Server must answer: invalid ones,
// and those with a body, an upgrade or Expect.
func (p *pendingConn) request() *http.Request {
	from := headReaders.Get().(*headReader)
	defer func() {
		from.head.Reset(nil)
		headReaders.Put(from)
	}()
	from.head.Reset(p.head)
	from.lines.Reset(&from.head)
	r, err := http.ReadRequest(from.lines)
	if err != nil || !plainHost(r.Host) || !validHeader(r.Header) || r.ContentLength != 0 || len(r.TransferEncoding) > 0 ||
		r.Header.Get("Expect") != "" || r.Header.Get("Upgrade") != "" {
		return nil
	}
	r.RemoteAddr = p.from.String()
	if p.listener.local != nil {
		return r.WithContext(p.listener.local)
	}
	local, err := localAddress(p.fd)
	if err != nil {
		return nil
	}
	return r.WithContext(localContext(net.TCPAddrFromAddrPort(local)))
}

// plainHost reports whether a host contains only valid characters. The http.Server rejects most others;
// http.ReadRequest does not check them.
func plainHost(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~:[]%", r)
	})
}

// validHeader reports whether the http.Server would accept all names and values. http.ReadRequest accepts
// a name with a space before the colon. With such a name, a client could get a header past a proxy that
// should remove it.
func validHeader(header http.Header) bool {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return false
		}
	}
	return true
}

// serve calls the handler. The handler calls Engine.Serve, or its response is buffered.
func (p *pendingConn) serve(e *Engine) {
	r := p.request()
	if r == nil {
		p.passToServer(e)
		return
	}
	w := &firstResponse{pending: p, header: http.Header{}}
	defer w.finish(r)
	p.listener.opts.Handler.ServeHTTP(w, r)
}
