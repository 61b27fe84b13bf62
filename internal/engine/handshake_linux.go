package engine

import (
	"context"
	"errors"
	"io"
	"log"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// handshake is the handshake of a connection. During it the loop has the connection, and the goroutine of
// the handshake has only this struct.
type handshake struct {
	conn   *conn
	secure *secure
	engine *Engine
	from   netip.AddrPort
	hello  helloScanner
	place  place
	input  []byte        // bytes read before it
	ready  chan struct{} // contains a token after an event of epoll
	ended  chan struct{} // closed by the goroutine

	deadline   time.Time    // of the goroutine
	waitsSince atomic.Int64 // when the goroutine began to wait for the client, as conn.deadline; 0 while it does not
	abortOnce  sync.Once
	aborted    chan struct{}
	err        error
}

// awaitHello gives an accepted connection to its loop, which waits for the ClientHello.
func (c *conn) awaitHello(from netip.AddrPort) {
	c.deadline = nanos(time.Now()) + int64(c.listener.opts.HeadTimeout)
	c.handshake = &handshake{conn: c, from: from, engine: c.loop.engine}
	c.move(stateHello)
	c.loop.give(c)
}

// readHello reads the available bytes of a ClientHello. When it is whole, the handshake waits for its turn.
func (c *conn) readHello() {
	for {
		switch c.handshake.hello.scan(c.input) {
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
	h.ready, h.ended, h.aborted = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	exempt := c.listener.opts.Sockets.exempts(h.from.Addr())
	if !c.loop.engine.handshakes.add(h, exempt) {
		c.close(ErrGone)
		return
	}
	c.move(stateHandshake)
	c.deadline = nanos(time.Now()) + int64(c.listener.opts.HeadTimeout) // of the wait in the queue
	c.loop.schedule(c)
	c.loop.engine.handshakes.start()
}

// run implements job. It runs the handshake.
func (h *handshake) run() {
	defer close(h.ended)
	h.deadline = time.Now().Add(h.conn.listener.opts.HeadTimeout)
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

// Errors of handshakes that the engine ends.
var (
	errHandshakeTimeout = errors.New("the client has sent nothing in time")
	errHandshakeAborted = errors.New("aborted in favour of another client, or with the engine")
)

// leaveQueue closes a connection that waits for its handshake. It does nothing to a running handshake, which has a
// deadline of its own and reads from the socket.
func (c *conn) leaveQueue() {
	if c.handshake.engine.handshakes.withdraw(c.handshake) {
		c.close(ErrGone)
	}
}

// abort ends a running handshake.
func (h *handshake) abort() { h.abortOnce.Do(func() { close(h.aborted) }) }

// abandon ends the handshake, and returns when no goroutine uses the socket.
func (h *handshake) abandon() {
	if h.engine.handshakes.withdraw(h) {
		return
	}
	h.abort()
	<-h.ended
}

// wait blocks until epoll has reported an event, without a slot.
func (h *handshake) wait() error {
	h.releaseSlot()
	h.waitsSince.Store(nanos(time.Now()))
	timer := time.NewTimer(time.Until(h.deadline))
	defer func() {
		timer.Stop()
		h.waitsSince.Store(0)
		h.takeSlot()
	}()
	select {
	case <-h.ready:
		return nil
	case <-timer.C:
		return errHandshakeTimeout
	case <-h.aborted:
		return errHandshakeAborted
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
