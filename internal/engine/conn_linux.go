package engine

import (
	"bytes"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a connection hijacked from net/http or accepted by the engine. Its loop owns all fields except
// queueState.
type conn struct {
	loop       *loop
	src        Source
	owner      *socketOwner // counts the socket
	fd         int32
	generation uint32
	queueState atomic.Uint32 // see the constants below

	registered   bool // with epoll, by the pending connection's generation
	watched      bool
	blocked      bool // the socket accepts no bytes until epoll reports EPOLLOUT
	stalled      bool // the source was notified of the current block
	ending       bool // the connection ends with endErr after unsent
	closed       bool
	unacked      int32 // unacknowledged bytes at the last check
	head         []byte
	unsent       []byte // the bytes that the socket has not accepted
	endErr       error
	timeout      int64 // nanoseconds
	deadline     int64 // nanoseconds since clockBase; 0 for none
	heapDeadline int64 // its entry in the heap; 0 for none
	written      int64
	drainedAt    time.Time // when all bytes had been accepted
}

// The values of conn.queueState.
const (
	notQueued      uint32 = iota
	turnQueued            // queued; the turn calls the source
	openingWritten        // queued or about to be, but writeOpening has called the source already
)

// Wake implements Waker. It queues the connection unless it is queued already.
func (c *conn) Wake() {
	if c.queueState.Swap(turnQueued) == notQueued {
		c.loop.add(c)
	}
}

// writeOpening writes the first frames of the source, before the connection is added to its loop. The
// calling goroutine has the request and its data in the CPU caches. The first turn handles errors and
// leftovers.
func (c *conn) writeOpening() {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if c.writeSource(buf, len(c.loop.engine.loops), time.Now()) {
		c.queueState.Store(turnQueued)
	}
}

// turn writes frames of the source, unless writeOpening has just done so. If the source has more, the
// connection is queued again behind the others.
func (c *conn) turn(now time.Time) {
	before := c.queueState.Swap(notQueued) // before the source is called, so that later events wake the connection again
	if c.closed || c.blocked {
		return
	}
	if !c.watched && !c.watch() {
		return
	}
	more := false
	if before != openingWritten && len(c.unsent) == 0 && !c.ending {
		more = c.writeSource(&c.loop.buf, c.loop.lane, now)
	}
	switch {
	case len(c.unsent) > 0:
		c.block()
	case c.ending:
		c.close(c.endErr)
	case more:
		c.Wake()
	default:
		c.loop.schedule(c)
	}
}

// writeSource calls the source with buf, and writes the frames. It reports whether the source may have
// more.
func (c *conn) writeSource(buf *[]byte, lane int, now time.Time) (more bool) {
	at := len(c.head) + chunkHead
	out, next, err := callAppend(c.src, slices.Grow((*buf)[:0], at)[:at], WriteTurn{Room: writeSize, Now: now, Written: c.drainedAt, Lane: lane})
	if cap(out) <= 2*writeSize {
		*buf = out[:0]
	}
	c.deadline = 0
	if !next.IsZero() {
		c.deadline = deadlineNanos(next, now)
	}
	c.ending, c.endErr = err != nil, err
	switch {
	case len(out) > at && err == ErrComplete:
		c.send(append(chunk(out, c.head, at), lastChunk...), now)
	case len(out) > at:
		c.send(chunk(out, c.head, at), now)
	case err == ErrComplete:
		c.send(append(c.head[:len(c.head):len(c.head)], lastChunk...), now)
	}
	// A deadline that has passed also queues the connection behind the others. In the heap it would keep
	// the loop busy.
	return len(out)-at >= writeSize || c.deadline != 0 && c.deadline <= nanos(now)
}

func (c *conn) watch() bool {
	c.watched = true
	c.loop.conns[c.fd] = c
	op := unix.EPOLL_CTL_ADD
	if c.registered {
		op = unix.EPOLL_CTL_MOD // also reports a disconnect that has happened before
	}
	if err := c.loop.engine.watch(op, c.fd, c.generation, 0); err != nil {
		c.close(err)
		return false
	}
	return true
}

// lastChunk ends a chunked body.
const lastChunk = "0\r\n\r\n"

// chunkHead is the maximum size of a chunk's head: eight digits and CRLF.
const chunkHead = 10

// chunk encodes out[at:] as one chunk, and puts the response's head before it. out[:at] has space for
// both heads.
func chunk(out, head []byte, at int) []byte {
	var size [chunkHead]byte
	line := append(strconv.AppendInt(size[:0], int64(len(out)-at), 16), "\r\n"...)
	out = append(out, "\r\n"...)
	at -= copy(out[at-len(line):], line)
	at -= copy(out[at-len(head):], head)
	return out[at:]
}

// send writes b, and stores the bytes that the socket does not accept. After an error the connection
// ends.
func (c *conn) send(b []byte, now time.Time) {
	c.head = nil
	n, err := send(c.fd, b)
	c.written += int64(n)
	switch {
	case err != nil:
		c.ending, c.endErr = true, disconnectErr(err)
	case n < len(b):
		c.unsent = bytes.Clone(b[n:])
	default:
		c.drainedAt = now
	}
}

// disconnectErr converts the error of a failed write.
func disconnectErr(err error) error {
	if err == unix.EPIPE || err == unix.ECONNRESET {
		return ErrGone
	}
	return err
}

// block registers the socket with epoll until it accepts bytes again. Epoll also reports a change before
// the registration.
func (c *conn) block() {
	c.blocked = true
	c.unacked = c.unacknowledged()
	c.deadline = c.blockedDeadline(time.Now())
	c.loop.schedule(c)
	if err := c.loop.engine.watch(unix.EPOLL_CTL_MOD, c.fd, c.generation, unix.EPOLLOUT); err != nil {
		c.close(err)
	}
}

// blockedDeadline returns the next check of a socket that has stopped accepting bytes now.
func (c *conn) blockedDeadline(now time.Time) int64 {
	if c.holder() != nil {
		return nanos(now) + int64(stallAfter)
	}
	return nanos(now) + c.timeout
}

// holder returns the source if it must be notified of a stall, or nil.
func (c *conn) holder() Holder {
	if c.stalled || c.timeout <= int64(stallAfter) {
		return nil
	}
	holder, _ := c.src.(Holder)
	return holder
}

// handleReadiness handles an epoll event.
func (c *conn) handleReadiness(events uint32) {
	switch {
	case events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0:
		c.close(ErrGone)
	case events&unix.EPOLLOUT != 0 && c.blocked:
		c.resume()
	}
}

// resume writes the unsent bytes. Once all are written, it queues the connection for a turn.
func (c *conn) resume() {
	n, err := send(c.fd, c.unsent)
	c.written += int64(n)
	if err != nil {
		c.close(disconnectErr(err))
		return
	}
	if n < len(c.unsent) {
		c.unsent = c.unsent[n:]
		c.unacked = c.unacknowledged()
		c.deadline = c.blockedDeadline(time.Now()) // later than the entry in the heap; expire reschedules it
		return
	}
	c.unsent, c.blocked, c.stalled, c.drainedAt = nil, false, false, time.Now()
	if c.ending {
		c.close(c.endErr)
		return
	}
	c.Wake()
}

// expired is called when the deadline has passed.
//
// A blocked connection has accepted no bytes from the loop since then. The client may still have read
// bytes from the kernel's buffer: epoll reports progress only when a third of the buffer is free. So the
// write timeout applies to the number of unacknowledged bytes.
func (c *conn) expired(now time.Time) {
	if !c.blocked {
		c.turn(now)
		return
	}
	if holder := c.holder(); holder != nil {
		c.stalled = true
		holder.Stalled()
		c.deadline = nanos(now) + c.timeout - int64(stallAfter)
		c.loop.schedule(c)
		return
	}
	left := c.unacknowledged()
	if left >= c.unacked {
		c.close(ErrTimeout)
		return
	}
	c.unacked = left
	c.deadline = nanos(now) + c.timeout
	c.loop.schedule(c)
}

// unacknowledged returns the number of bytes in the kernel's send buffer.
func (c *conn) unacknowledged() int32 {
	n, _ := unix.IoctlGetInt(int(c.fd), unix.SIOCOUTQ)
	return int32(n)
}

// close closes the connection without a last chunk, and calls Ended of the source.
func (c *conn) close(err error) {
	if c.closed {
		return
	}
	c.closed = true
	if c.ending {
		c.discard()
	}
	delete(c.loop.conns, c.fd)
	closeSocket(c.fd) // also removes it from epoll
	c.owner.release()
	src := c.src
	c.src, c.unsent, c.head = nil, nil, nil
	src.Ended(err, c.written)
}

// discard reads the bytes sent by the peer, up to the size of a socket's buffer. Closing a socket with
// unread bytes resets it, and the peer loses the bytes that it has not read.
func (c *conn) discard() {
	for range 128 {
		n, _, err := unix.Recvfrom(int(c.fd), c.loop.buf[:cap(c.loop.buf)], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if n <= 0 || err != nil {
			return
		}
	}
}
