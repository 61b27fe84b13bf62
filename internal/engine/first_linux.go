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

// maxHead bounds the head of a first request that the engine reads. A longer one is the
// server's to judge.
const maxHead = 16 << 10

// arrival is a connection whose first request is awaited. Where that was not there at once, its
// loop has it until it is, then the goroutine that answers.
type pendingConn struct {
	listener      *engineListener
	owner      *socketOwner // that counts it; the holder of the socket releases it once
	from       netip.AddrPort
	fd         int32
	generation uint32
	since      time.Time
	head       []byte
	complete   bool // the engine answers it
	watched    bool // epoll knows it
}

// receive lets epoll tell when the rest of a first request comes, or has come meanwhile.
func (l *loop) watchPending(arrived []*pendingConn) {
	for _, a := range arrived {
		l.pending[a.fd] = a
		if l.engine.watch(unix.EPOLL_CTL_ADD, a.fd, a.generation, unix.EPOLLIN) != nil {
			l.closePending(a)
		}
	}
}

// dismiss closes a connection that never asked.
func (l *loop) closePending(a *pendingConn) {
	delete(l.pending, a.fd)
	a.close()
}

// close ends the connection without a response.
func (a *pendingConn) close() {
	closeSocket(a.fd)
	a.owner.release()
}

// arrived takes what has come of a first request, and reports whether its peer has gone.
func readAvailable(fd int32, buf []byte) (n int, gone bool) {
	n, errno := read(fd, buf)
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return 0, false
	}
	return n, errno != 0 || n == 0
}

// read takes what has come of a first request.
func (l *loop) readHead(a *pendingConn) {
	buf := l.buf[:maxHead]
	n, gone := readAvailable(a.fd, buf)
	if gone {
		l.closePending(a)
		return
	}
	a.head = append(a.head, buf[:n]...)
	verdict := a.classify()
	if verdict == incomplete {
		return // epoll tells of more
	}
	delete(l.pending, a.fd)
	a.complete = verdict == complete
	l.engine.startWorker(a)
}

// idleWorker is how long a goroutine that answers first requests waits for another one.
const idleWorkerTimeout = time.Second

// employ gives an arrival to a goroutine, since a handler may block. One that has answered
// before has grown its stack already, which is a tenth of what a connect costs.
func (e *Engine) startWorker(a *pendingConn) {
	select {
	case e.idleWorkers <- a:
	default:
		e.running.Go(func() { e.workerLoop(a) })
	}
}

func (e *Engine) workerLoop(a *pendingConn) {
	enough := time.NewTimer(idleWorkerTimeout)
	defer enough.Stop()
	for {
		if a.complete {
			a.serve(e)
		} else {
			a.passToServer(e)
		}
		enough.Reset(idleWorkerTimeout)
		select {
		case a = <-e.idleWorkers:
		case <-enough.C:
			return
		case <-e.done:
			return
		}
	}
}

// hurryEvery is how often the loop looks for arrivals that have taken too long.
const headCheckInterval = time.Second

// hurry gives up on them.
func (l *loop) expireHeads(now time.Time) {
	if now.Sub(l.headsChecked) < headCheckInterval {
		return
	}
	l.headsChecked = now
	for _, a := range l.pending {
		if now.Sub(a.since) > a.listener.opts.HeadTimeout {
			l.closePending(a)
		}
	}
}

type headKind int

const (
	incomplete headKind = iota
	complete
	passThrough
)

// judge says whether the engine answers: a GET of a stream by HTTP/1.1, complete.
func (a *pendingConn) classify() headKind {
	line, _, whole := bytes.Cut(a.head, []byte("\n"))
	switch {
	case whole && !a.isSubscribe(line):
		return passThrough
	case bytes.HasSuffix(a.head, []byte("\r\n\r\n")) && bytes.Count(a.head, []byte("\r\n\r\n")) == 1:
		return complete
	case len(a.head) >= maxHead, !startsLike(a.head, "GET /"):
		return passThrough
	case bytes.Contains(a.head, []byte("\n\r\n")), bytes.Contains(a.head, []byte("\n\n")):
		return passThrough // more than a head, or its lines end otherwise
	}
	return incomplete
}

// wanted reads the request line.
func (a *pendingConn) isSubscribe(line []byte) bool {
	target, isGet := bytes.CutPrefix(line, []byte("GET "))
	target, isHTTP11 := bytes.CutSuffix(target, []byte(" HTTP/1.1\r"))
	path, _, _ := bytes.Cut(target, []byte("?"))
	return isGet && isHTTP11 && a.listener.opts.IsSubscribe(string(path))
}

// startsLike reports whether b may become something that starts with prefix.
func startsLike(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

// handOver gives the connection to the server, as if nothing had been read of it.
func (a *pendingConn) passToServer(e *Engine) {
	if a.watched {
		_ = epollCtl(e.epollFD, unix.EPOLL_CTL_DEL, a.fd, nil)
	}
	a.listener.passConn(a.fd, a.owner, bytes.Clone(a.head)) // which may lie in an acceptor's buffer
}

// reader is what it takes to parse a head.
type headReader struct {
	head  bytes.Reader
	lines *bufio.Reader
}

var headReaders = sync.Pool{New: func() any { return &headReader{lines: bufio.NewReaderSize(nil, 1<<10)} }}

// request parses the head. It returns nil for what the server should judge: what cannot be
// parsed, and what asks for more than an answer.
func (a *pendingConn) request() *http.Request {
	from := headReaders.Get().(*headReader)
	defer func() {
		from.head.Reset(nil)
		headReaders.Put(from)
	}()
	from.head.Reset(a.head)
	from.lines.Reset(&from.head)
	r, err := http.ReadRequest(from.lines)
	if err != nil || !plainHost(r.Host) || !validHeader(r.Header) || r.ContentLength != 0 || len(r.TransferEncoding) > 0 ||
		r.Header.Get("Expect") != "" || r.Header.Get("Upgrade") != "" {
		return nil
	}
	r.RemoteAddr = a.from.String()
	if a.listener.local != nil {
		return r.WithContext(a.listener.local)
	}
	local, err := localAddress(a.fd)
	if err != nil {
		return nil
	}
	return r.WithContext(localContext(net.TCPAddrFromAddrPort(local)))
}

// plainHost reports whether a host is made of what hosts are. The server refuses most others,
// which http.ReadRequest does not look at.
func plainHost(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~:[]%", r)
	})
}

// validHeader holds names and values to what the server of net/http accepts. http.ReadRequest keeps
// a name with a space before the colon, under which a proxy may have passed on what it should strip.
func validHeader(header http.Header) bool {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return false
		}
	}
	return true
}

// answer lets the handler answer the request. What it does not take over is a refusal.
func (a *pendingConn) serve(e *Engine) {
	r := a.request()
	if r == nil {
		a.passToServer(e)
		return
	}
	w := &firstResponse{pending: a, header: http.Header{}}
	defer w.finish(r)
	a.listener.opts.Handler.ServeHTTP(w, r)
}
