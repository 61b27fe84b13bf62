package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tidemark/tidemark/internal/netaddr"
)

// Limits of handshakes. A running handshake has a goroutine; it computes only while it holds one of as many
// slots as there are CPUs, and so waits for its client without a slot. A waiting one costs the bytes of its
// ClientHello.
const (
	maxRunning           = 1024
	maxRunningPerAddress = 256
	maxWaiting           = 16 << 10
	maxWaitingPerAddress = 8 << 10
)

// handshakes limits the TLS handshakes of an engine. Addresses get their turn one after the other, so that one
// with many handshakes does not delay the others.
type handshakes struct {
	slots chan struct{}

	mu        sync.Mutex
	addresses map[netip.Prefix]*handshakeAddress
	next      []*handshakeAddress // that have a waiting handshake and may run it
	counts    HandshakeStatus
}

// handshakeAddress is an address with handshakes, as limits of sockets define it.
type handshakeAddress struct {
	prefix   netip.Prefix
	running  int
	waiting  []*handshake
	isNext   bool // in handshakes.next
	isExempt bool // from the limits of an address
}

func newHandshakes() *handshakes {
	return &handshakes{
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), addresses: map[netip.Prefix]*handshakeAddress{},
	}
}

// handshake is the handshake of a connection. During it the loop has the connection, and the goroutine of
// the handshake has only this struct.
type handshake struct {
	conn    *conn
	secure  *secure
	engine  *Engine
	from    netip.AddrPort
	address *handshakeAddress
	input   []byte        // bytes read before it
	ready   chan struct{} // contains a token after an event of epoll
	ended   chan struct{} // closed by the goroutine

	cancelOnce sync.Once
	cancelled  chan struct{}
	err        error
}

// Handshakes returns the counts of TLS handshakes.
func (e *Engine) Handshakes() HandshakeStatus {
	if e == nil {
		return HandshakeStatus{}
	}
	e.handshakes.mu.Lock()
	defer e.handshakes.mu.Unlock()
	return e.handshakes.counts
}

// awaitHello gives an accepted connection to its loop, which waits for the ClientHello.
func (c *conn) awaitHello(from netip.AddrPort) {
	c.deadline = nanos(time.Now()) + int64(c.listener.opts.HeadTimeout)
	c.handshake = &handshake{conn: c, from: from, engine: c.loop.engine}
	c.move(stateHello)
	c.loop.give(c)
}

// helloKind classifies the input before a handshake.
type helloKind int

const (
	helloIncomplete helloKind = iota
	helloComplete             // or wrong, so that the handshake will fail
	helloHTTP                 // a request in the clear
)

// maxHello is the size from which a ClientHello is left to crypto/tls, which has a limit of its own.
const maxHello = 16 << 10

// classifyHello reports whether the input has a whole ClientHello. It may be in several records.
func classifyHello(input []byte) helloKind {
	const recordHead, messageHead, handshakeRecord, clientHello = 5, 4, 22, 1
	if len(input) == 0 {
		return helloIncomplete
	}
	if input[0] != handshakeRecord {
		if len(input) >= len("GET /") && isUpperCase(input[:3]) {
			return helloHTTP
		}
		if len(input) < len("GET /") && isUpperCase(input[:1]) {
			return helloIncomplete
		}
		return helloComplete
	}
	var message []byte
	for rest := input; len(rest) >= recordHead && len(input) < maxHello; {
		size := int(binary.BigEndian.Uint16(rest[3:]))
		if rest[0] != handshakeRecord || size == 0 {
			return helloComplete
		}
		body := rest[recordHead:min(len(rest), recordHead+size)]
		message = append(message, body...)
		if len(message) >= messageHead {
			want := messageHead + int(message[1])<<16 + int(message[2])<<8 + int(message[3])
			if message[0] != clientHello || len(message) >= want {
				return helloComplete
			}
		}
		if len(body) < size {
			return helloIncomplete
		}
		rest = rest[recordHead+size:]
	}
	if len(input) >= maxHello {
		return helloComplete
	}
	return helloIncomplete
}

func isUpperCase(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// readHello reads the available bytes of a ClientHello. When it is whole, the handshake waits for its turn.
func (c *conn) readHello() {
	for {
		switch classifyHello(c.input) {
		case helloComplete:
			c.beginHandshake()
			return
		case helloHTTP:
			_ = c.sendReply([]byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 53\r\nConnection: close\r\n\r\n" +
				"This address needs TLS: use https:// instead of http:"))
			c.discard()
			c.handshake.err = errClear
			c.listener.logHandshake(c.handshake)
			c.close(ErrGone)
			return
		}
		n, err := readSocket(c.fd, c.loop.buf[:maxHead])
		if err == errWait {
			c.loop.schedule(c)
			return
		}
		if err != nil {
			c.close(ErrGone)
			return
		}
		c.input = append(c.input, c.loop.buf[:n]...)
	}
}

// beginHandshake puts the handshake of the connection into the queue, or closes the connection if that is full.
func (c *conn) beginHandshake() {
	h := c.handshake
	h.input, c.input = c.input, nil
	h.secure = newSecure(c.fd, c.listener.tls)
	h.secure.raw.handshake = h
	h.ready, h.ended, h.cancelled = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	exempt := c.listener.opts.Sockets.exempts(h.from.Addr())
	if !c.loop.engine.handshakes.add(h, exempt) {
		c.close(ErrGone)
		return
	}
	c.move(stateHandshake)
	c.loop.schedule(c)
	c.loop.engine.handshakes.start()
}

// add queues a handshake. It returns false if too many are waiting.
func (q *handshakes) add(h *handshake, exempt bool) bool {
	prefix := netaddr.LimitPrefix(h.from.Addr())
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.addresses[prefix]
	if a == nil {
		a = &handshakeAddress{prefix: prefix, isExempt: exempt}
		q.addresses[prefix] = a
	}
	if q.counts.Waiting >= maxWaiting || !exempt && len(a.waiting) >= maxWaitingPerAddress {
		q.counts.Rejected++
		q.removeLocked(a)
		return false
	}
	q.counts.Waiting++
	h.address = a
	a.waiting = append(a.waiting, h)
	q.offerLocked(a)
	return true
}

// offerLocked makes an address the last of those to run next, if it has a waiting handshake and may run it.
func (q *handshakes) offerLocked(a *handshakeAddress) {
	if !a.isNext && len(a.waiting) > 0 && (a.isExempt || a.running < maxRunningPerAddress) {
		a.isNext = true
		q.next = append(q.next, a)
	}
}

func (q *handshakes) removeLocked(a *handshakeAddress) {
	if a.running == 0 && len(a.waiting) == 0 && !a.isNext {
		delete(q.addresses, a.prefix)
	}
}

// start runs waiting handshakes while there is room.
func (q *handshakes) start() {
	for {
		h := q.take()
		if h == nil {
			return
		}
		h.engine.startWorker(h)
	}
}

// take removes the next handshake from the queue; nil if none may run.
func (q *handshakes) take() *handshake {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.next) > 0 && q.counts.Running < maxRunning {
		a := q.next[0]
		q.next[0] = nil
		q.next = q.next[1:]
		a.isNext = false
		if len(a.waiting) == 0 {
			q.removeLocked(a)
			continue
		}
		h := a.waiting[0]
		a.waiting[0] = nil
		a.waiting = a.waiting[1:]
		a.running++
		q.counts.Waiting--
		q.counts.Running++
		q.offerLocked(a)
		return h
	}
	return nil
}

// withdraw removes a handshake from the queue. It returns false if the handshake runs.
func (q *handshakes) withdraw(h *handshake) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range h.address.waiting {
		if other == h {
			h.address.waiting = append(h.address.waiting[:i], h.address.waiting[i+1:]...)
			q.counts.Waiting--
			q.counts.Failed++
			q.removeLocked(h.address)
			return true
		}
	}
	return false
}

// done counts the end of a running handshake, and starts others.
func (q *handshakes) done(h *handshake) {
	q.mu.Lock()
	a := h.address
	a.running--
	q.counts.Running--
	switch {
	case h.err != nil:
		q.counts.Failed++
	case h.secure.tls.ConnectionState().DidResume:
		q.counts.Resumed++
	default:
		q.counts.Full++
	}
	q.offerLocked(a)
	q.removeLocked(a)
	q.mu.Unlock()
	q.start()
}

// run implements job. It runs the handshake.
func (h *handshake) run() {
	defer close(h.ended)
	h.takeSlot()
	h.err = h.secure.tls.HandshakeContext(context.Background())
	h.releaseSlot()
	h.secure.raw.handshake = nil
	h.engine.handshakes.done(h)
	post(h.conn.loop, &h.conn.loop.handshakes, h)
}

func (h *handshake) takeSlot()    { h.engine.handshakes.slots <- struct{}{} }
func (h *handshake) releaseSlot() { <-h.engine.handshakes.slots }

// signal notifies the handshake of an event of epoll.
func (h *handshake) signal() {
	select {
	case h.ready <- struct{}{}:
	default:
	}
}

// errClear is the error of a client without TLS.
var errClear = errors.New("the client sent an HTTP request without TLS")

// errHandshakeTimeout is the error of a handshake that takes longer than HeadTimeout.
var errHandshakeTimeout = errors.New("TLS handshake: no end in time")

// cancel ends the handshake with errHandshakeTimeout. The loop calls it.
func (h *handshake) cancel() {
	if h.engine.handshakes.withdraw(h) {
		h.err = errHandshakeTimeout
		h.conn.close(ErrGone)
		return
	}
	h.cancelOnce.Do(func() { close(h.cancelled) })
}

// abandon ends the handshake, and returns when no goroutine uses the socket.
func (h *handshake) abandon() {
	if h.engine.handshakes.withdraw(h) {
		return
	}
	h.cancelOnce.Do(func() { close(h.cancelled) })
	<-h.ended
}

// wait blocks until epoll has reported an event, without a slot.
func (h *handshake) wait() error {
	h.releaseSlot()
	defer h.takeSlot()
	select {
	case <-h.ready:
		return nil
	case <-h.cancelled:
		return errHandshakeTimeout
	}
}

// read reads for the tls.Conn. It blocks until bytes are available.
func (h *handshake) read(b []byte) (int, error) {
	if len(h.input) > 0 {
		n := copy(b, h.input)
		if h.input = h.input[n:]; len(h.input) == 0 {
			h.input = nil
		}
		return n, nil
	}
	for {
		n, err := readSocket(h.secure.raw.fd, b)
		if err != errWait {
			return n, err
		}
		if err := h.wait(); err != nil {
			return 0, err
		}
	}
}

// write writes for the tls.Conn. It blocks until the socket has accepted all bytes, which it nearly always does
// at once.
func (h *handshake) write(b []byte) (int, error) {
	for sent := 0; ; {
		n, err := send(h.secure.raw.fd, b[sent:])
		if sent += n; err != nil || sent == len(b) {
			return sent, err
		}
		if err := h.engine.watch(unix.EPOLL_CTL_MOD, h.secure.raw.fd, h.conn.generation, unix.EPOLLIN|unix.EPOLLOUT); err != nil {
			return sent, err
		}
		if err := h.wait(); err != nil {
			return sent, err
		}
	}
}

// continueAfterHandshake is called by the loop when the handshake has ended.
func (c *conn) continueAfterHandshake(h *handshake, now time.Time) {
	if c.state != stateHandshake {
		return // closed with the engine
	}
	if h.err != nil {
		c.listener.logHandshake(h)
		c.close(ErrGone)
		return
	}
	c.handshake, c.transport = nil, h.secure
	if h.secure.tls.ConnectionState().NegotiatedProtocol == "h2" {
		c.detach()
		c.move(statePassed)
		c.loop.engine.startWorker(c)
		return
	}
	c.deadline = nanos(now) + int64(c.listener.opts.HeadTimeout)
	c.move(stateRequest)
	c.readRequest(now)
}

// logHandshake logs a failed handshake, as net/http does.
func (f *engineListener) logHandshake(h *handshake) {
	if errors.Is(h.err, io.EOF) {
		return // a disconnect, for example of a health check
	}
	logf := log.Printf
	if f.errorLog != nil {
		logf = f.errorLog.Printf
	}
	logf("http: TLS handshake error from %s: %v", h.from, h.err)
}
