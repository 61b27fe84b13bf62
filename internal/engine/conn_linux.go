package engine

import (
	"bytes"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a connection that was taken over. All but queued belongs to its loop.
type conn struct {
	loop       *loop
	src        Source
	owner      *socketOwner // that counts the socket
	fd         int32
	generation uint32
	queueState     atomic.Uint32 // whether it waits in the loop's queue for a turn

	registered   bool // to epoll, by another generation
	watched bool
	blocked bool // the socket takes no more until epoll says so
	stalled bool // and its source was notified
	ending    bool // the stream ends behind rest, with why
	closed  bool
	unacked  int32 // what the peer had not acknowledged when it was looked at last
	head    []byte
	unsent    []byte // of what was sent, to go first
	endErr     error
	timeout int64 // nanoseconds
	deadline     int64 // nanoseconds since clockBase; 0 for never
	heapDeadline  int64 // where it stands in the heap; 0 for nowhere
	written int64
	drainedAt   time.Time // when nothing was left to write
}

// What conn.queued says.
const (
	notQueued    uint32 = iota
	turnQueued         // its source is to be asked
	openingWritten        // it is queued, or about to be, but its source was asked already
)

// Wake implements Waker.
func (c *conn) Wake() {
	if c.queueState.Swap(turnQueued) == notQueued {
		c.loop.add(c)
	}
}

// greet sends what the source begins with, before the loop has the connection: who answers the
// request has all of it at hand. What becomes of that, the first turn sees to.
func (c *conn) writeOpening() {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if c.writeSource(buf, len(c.loop.engine.loops), time.Now()) {
		c.queueState.Store(turnQueued)
	}
}

// turn sends what the source has, unless greet has just done so. One that has more comes again behind
// the others.
func (c *conn) turn(now time.Time) {
	before := c.queueState.Swap(notQueued) // before the source is looked at: what it gets from now on wakes again
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

// serve sends what the source has, by way of buf, and reports whether there may be more already.
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
	if len(out) > at {
		c.send(chunk(out, c.head, at), now)
	}
	// A source that is due already waits behind the others, too: in the heap it would keep the
	// loop from all else.
	return len(out)-at >= writeSize || c.deadline != 0 && c.deadline <= nanos(now)
}

func (c *conn) watch() bool {
	c.watched = true
	c.loop.conns[c.fd] = c
	op := unix.EPOLL_CTL_ADD
	if c.registered {
		op = unix.EPOLL_CTL_MOD // which tells of an end that has come meanwhile, too
	}
	if err := c.loop.engine.watch(op, c.fd, c.generation, 0); err != nil {
		c.close(err)
		return false
	}
	return true
}

// chunkHead is the most that the head of a chunk takes: eight digits and CRLF.
const chunkHead = 10

// chunk makes out[at:] one chunk behind the response's head, both of which fit before it.
func chunk(out, head []byte, at int) []byte {
	var size [chunkHead]byte
	line := append(strconv.AppendInt(size[:0], int64(len(out)-at), 16), "\r\n"...)
	out = append(out, "\r\n"...)
	at -= copy(out[at-len(line):], line)
	at -= copy(out[at-len(head):], head)
	return out[at:]
}

// send writes b, and keeps what the socket does not take. Where it fails, the stream is over.
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

// gone says what a failed write tells of the client.
func disconnectErr(err error) error {
	if err == unix.EPIPE || err == unix.ECONNRESET {
		return ErrGone
	}
	return err
}

// block waits until the socket takes bytes again. What came of that before epoll was asked is
// told at once.
func (c *conn) block() {
	c.blocked = true
	c.unacked = c.unacknowledged()
	c.deadline = c.blockedDeadline(time.Now())
	c.loop.schedule(c)
	if err := c.loop.engine.watch(unix.EPOLL_CTL_MOD, c.fd, c.generation, unix.EPOLLOUT); err != nil {
		c.close(err)
	}
}

// blockedDue is when a socket that accepts no more since now is looked at.
func (c *conn) blockedDeadline(now time.Time) int64 {
	if c.holder() != nil {
		return nanos(now) + int64(stallAfter)
	}
	return nanos(now) + c.timeout
}

// holder returns the source if it is to be notified of a stall.
func (c *conn) holder() Holder {
	if c.stalled || c.timeout <= int64(stallAfter) {
		return nil
	}
	holder, _ := c.src.(Holder)
	return holder
}

// happened takes a word of epoll.
func (c *conn) handleReadiness(events uint32) {
	switch {
	case events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0:
		c.close(ErrGone)
	case events&unix.EPOLLOUT != 0 && c.blocked:
		c.resume()
	}
}

// resume sends the rest. The source gets a turn once nothing is left of it.
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
		c.deadline = c.blockedDeadline(time.Now()) // later than before: the heap finds out
		return
	}
	c.unsent, c.blocked, c.stalled, c.drainedAt = nil, false, false, time.Now()
	if c.ending {
		c.close(c.endErr)
		return
	}
	c.Wake()
}

// expired is called when the connection is due. One that is blocked has taken nothing off the
// loop since; it may still take bytes out of the kernel's buffer, a third of which must drain
// before epoll tells.
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

// unacknowledged is how many bytes the kernel holds for the peer.
func (c *conn) unacknowledged() int32 {
	n, _ := unix.IoctlGetInt(int(c.fd), unix.SIOCOUTQ)
	return int32(n)
}

// close ends the connection without a last chunk, and tells the source.
func (c *conn) close(err error) {
	if c.closed {
		return
	}
	c.closed = true
	if c.ending {
		c.discard()
	}
	delete(c.loop.conns, c.fd)
	closeSocket(c.fd) // epoll forgets it, too
	c.owner.release()
	src := c.src
	c.src, c.unsent, c.head = nil, nil, nil
	src.Ended(err, c.written)
}

// discard takes what the peer has sent, all that a socket's buffer can be. A socket that is
// closed with bytes unread is reset, and what its peer has not taken yet is lost.
func (c *conn) discard() {
	for range 128 {
		n, _, err := unix.Recvfrom(int(c.fd), c.loop.buf[:cap(c.loop.buf)], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if n <= 0 || err != nil {
			return
		}
	}
}
