package engine

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// maxHead is the size of the longest request head that the engine parses. Connections with longer heads are
// passed to the server. maxUnsent is the number of unsent bytes from which the engine reads nothing from the
// client: the replies of TLS would need ever more memory.
const (
	maxHead   = 16 << 10
	maxUnsent = 2 * writeSize
)

// keeps reports whether the connection can be kept for a further request.
func (c *conn) keeps() bool { return c.mayKeep && c.listener != nil && !c.listener.isClosed() }

// mayKeep reports whether a request and the header of its response allow further requests on the connection. A body may
// be unread in part; its rest must not be read as a request.
func mayKeep(r *http.Request, header http.Header) bool {
	return !wantsClose(r) && r.ContentLength == 0 && header.Get("Connection") != "close"
}

// awaitRequest waits for the next request after a response.
func (c *conn) awaitRequest(now time.Time) {
	c.move(stateRequest)
	c.deadline = nanos(now) + int64(c.listener.opts.IdleTimeout)
	if len(c.input) == 0 && !c.becomeIdle() {
		c.close(nil)
		return
	}
	if len(c.input) > 0 {
		c.deadline = nanos(now) + int64(c.listener.opts.HeadTimeout)
	}
	c.readRequest(now)
}

// readRequest reads the available bytes of a request. A complete request goes to a worker goroutine.
func (c *conn) readRequest(now time.Time) {
	kind := c.classify()
	for ; kind == incomplete; kind = c.classify() {
		n, reply, err := c.transport.read(c.fd, c.loop.buf[:maxHead])
		if len(reply) > 0 && !c.sendReply(reply) {
			err = ErrGone // a client that has not even taken its last response is not worth waiting for
		}
		if err == errWait {
			c.loop.schedule(c)
			return
		}
		if err != nil || !c.becomeActive() {
			c.close(ErrGone)
			return
		}
		if len(c.input) == 0 {
			c.deadline = nanos(now) + int64(c.listener.opts.HeadTimeout)
		}
		c.input = append(c.input, c.loop.buf[:n]...)
	}
	if !c.becomeActive() {
		c.close(ErrGone)
		return
	}
	c.detach()
	if kind == complete {
		c.move(stateHandler)
	} else {
		c.move(statePassed)
	}
	c.loop.engine.startWorker(c)
}

// sendReply sends bytes of the transport outside of a response. It reports whether the socket accepted all.
func (c *conn) sendReply(reply []byte) bool {
	n, err := send(c.fd, reply)
	return err == nil && n == len(reply)
}

// readWhileWriting reads the bytes sent by the client during a response: messages of TLS, and requests ahead of
// time. The latter wait for the end of the response. Without TLS the bytes wait in the kernel.
func (c *conn) readWhileWriting() {
	if c.transport == plain {
		return
	}
	for len(c.input) < maxHead && len(c.unsent) < maxUnsent {
		n, reply, err := c.transport.read(c.fd, c.loop.buf[:maxHead])
		c.input = append(c.input, c.loop.buf[:n]...)
		if len(reply) > 0 {
			c.sendBehind(reply)
		}
		if err == errWait || err == io.EOF && c.next != nextFrames {
			return // readRequest notices the end, too
		}
		if err != nil {
			c.close(ErrGone)
			return
		}
	}
}

// sendBehind sends bytes of the transport after the unsent bytes of the response.
func (c *conn) sendBehind(reply []byte) {
	if len(c.unsent) > 0 {
		c.unsent = append(c.unsent, reply...)
		return
	}
	n, err := send(c.fd, reply)
	if err == nil && n < len(reply) {
		c.unsent = bytes.Clone(reply[n:])
		if !c.state.waitsForSocket() {
			c.block()
		}
	}
}

// becomeIdle counts the socket as idle. It returns false if the socket must be closed.
func (c *conn) becomeIdle() bool {
	if c.owner == nil {
		return true
	}
	if c.idle == nil {
		c.idle = &idleConn{countedSocket: countedSocket{owner: c.owner}, conn: c}
		c.idle.closer = c.idle
	}
	return c.idle.setIdle(true)
}

// becomeActive counts the socket as active. It returns false if the socket was evicted.
func (c *conn) becomeActive() bool { return c.idle == nil || c.idle.setIdle(false) }

// idleConn is a connection in the lists of idle sockets.
type idleConn struct {
	countedSocket
	conn *conn
}

// closeEvicted implements socketCloser. The loop closes the connection.
func (i *idleConn) closeEvicted() {
	closed := make(chan struct{})
	post(i.conn.loop, &i.conn.loop.evicted, eviction{i.conn, closed})
	select {
	case <-closed:
	case <-i.conn.loop.engine.done: // which closes it
	}
}

// eviction is an idle connection to close.
type eviction struct {
	conn   *conn
	closed chan<- struct{}
}

// closeEvicted closes an idle connection. It may have got a request since, which readRequest notices.
func (l *loop) closeEvicted(e eviction) {
	if e.conn.attached && e.conn.state == stateRequest {
		e.conn.close(ErrGone)
	}
	close(e.closed)
}

// closeIdle closes the connections of a closed listener that wait for a next request.
func (l *loop) closeIdle(of *engineListener) {
	for _, c := range l.conns {
		if c.listener == of && c.state == stateRequest && c.idle != nil && len(c.input) == 0 {
			c.close(ErrGone)
		}
	}
}
