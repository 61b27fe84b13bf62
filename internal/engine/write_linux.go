package engine

import (
	"bytes"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// start answers a request with the frames of a source. The goroutine of the handler calls it, and writes the
// first frames, because it has the request and its data in the CPU caches. The loop handles errors and
// leftovers.
func (c *conn) start(src Source, opts Options, head []byte) {
	c.beginResponse(head, int64(opts.timeout()))
	c.src = src
	c.wakes.Or(queued) // the loop gives the connection a turn in any case
	src.Start(c)
	c.wakes.And(^woken)
	c.move(stateWriting)
	buf, scratch := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	defer buffers.Put(scratch)
	if c.writeSource(buf, scratch, len(c.loop.engine.loops), time.Now()) {
		c.wakes.Or(woken)
	}
	c.loop.give(c)
}

// respond writes a whole response, and keeps the connection for a further request if possible. The goroutine
// of the handler calls it.
func (c *conn) respond(response []byte) {
	c.beginResponse(nil, int64(responseTimeout))
	c.next, c.endErr = c.nextOf(ErrComplete), ErrComplete
	c.move(stateWriting)
	scratch := buffers.Get().(*[]byte)
	defer buffers.Put(scratch)
	c.send(response, scratch, time.Now())
	c.loop.give(c)
}

func (c *conn) beginResponse(head []byte, timeout int64) {
	c.next, c.endErr, c.written, c.drainedAt = nextFrames, nil, 0, 0
	c.head, c.timeout = head, timeout
}

// nextOf returns the step after a response with the error err of its source.
func (c *conn) nextOf(err error) next {
	switch {
	case err == nil:
		return nextFrames
	case err == ErrComplete && c.keeps():
		return nextRequest
	}
	return nextClose
}

// write gives the source its turn if it was woken or is due. If the source has more, the connection is queued
// again behind the others.
func (c *conn) write(woken bool, now time.Time) {
	more := false
	if woken && c.next == nextFrames && len(c.unsent) == 0 {
		more = c.writeSource(&c.loop.buf, &c.loop.scratch, c.loop.lane, now)
	}
	switch {
	case len(c.unsent) > 0:
		c.block()
	case c.next != nextFrames:
		c.endResponse(now)
	case more:
		c.Wake()
	default:
		c.loop.schedule(c)
	}
}

// writeSource calls the source with buf, and writes the frames. It reports whether the source may have
// more.
func (c *conn) writeSource(buf, scratch *[]byte, lane int, now time.Time) (more bool) {
	at := len(c.head) + chunkHead
	var drained time.Time
	if c.drainedAt != 0 {
		drained = clockBase.Add(time.Duration(c.drainedAt))
	}
	out, due, err := callAppend(c.src, slices.Grow((*buf)[:0], at)[:at], WriteTurn{Room: writeSize, Now: now, Written: drained, Lane: lane})
	if cap(out) <= 2*writeSize {
		*buf = out[:0]
	}
	c.deadline = 0
	if !due.IsZero() {
		c.deadline = deadlineNanos(due, now)
	}
	c.next, c.endErr = c.nextOf(err), err
	more = len(out)-at >= writeSize
	if out = chunks(out, c.head, at, err == ErrComplete); len(out) > 0 {
		c.send(out, scratch, now)
	}
	// A deadline that has passed also queues the connection behind the others. In the heap it would keep
	// the loop busy.
	return more || c.deadline != 0 && c.deadline <= nanos(now)
}

// send writes b, and stores the bytes that the socket does not accept. After an error the connection
// ends.
func (c *conn) send(b []byte, scratch *[]byte, now time.Time) {
	c.head = nil
	rest, n, err := c.transport.write(c.fd, b, scratch)
	c.written += int64(n)
	switch {
	case err != nil:
		c.next, c.endErr, c.unsent = nextClose, disconnectErr(err), nil
	case len(rest) > 0:
		c.unsent = bytes.Clone(rest)
	default:
		c.drainedAt = nanos(now)
	}
}

// disconnectErr converts the error of a failed write.
func disconnectErr(err error) error {
	if err == unix.EPIPE || err == unix.ECONNRESET {
		return ErrGone
	}
	return err
}

// endResponse ends a response whose bytes are all written.
func (c *conn) endResponse(now time.Time) {
	if c.next != nextRequest || !c.keeps() {
		c.close(c.endErr)
		return
	}
	src, err, written := c.src, c.endErr, c.written
	c.src, c.next, c.endErr = nil, nextFrames, nil
	if src != nil {
		src.Ended(err, written)
	}
	c.awaitRequest(now)
}

// block waits until the socket accepts bytes again. Epoll also reports a change before the registration.
func (c *conn) block() {
	c.move(stateBlocked)
	c.unacked = c.unacknowledged()
	c.deadline = c.blockedDeadline(time.Now())
	c.loop.schedule(c)
	c.registration = forOutput
	c.watch(unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLOUT)
}

// blockedDeadline returns the next check of a socket that has stopped accepting bytes now.
func (c *conn) blockedDeadline(now time.Time) int64 {
	if c.stallNotified() != nil {
		return nanos(now) + int64(stallAfter)
	}
	return nanos(now) + c.timeout
}

// stallNotified returns the source if it must be notified of a stall, or nil.
func (c *conn) stallNotified() StallNotified {
	if c.state == stateStalled || c.timeout <= int64(stallAfter) {
		return nil
	}
	src, _ := c.src.(StallNotified)
	return src
}

// resume writes the unsent bytes. Once all are written, the source gets a turn.
func (c *conn) resume() {
	n, err := send(c.fd, c.unsent)
	c.written += int64(n)
	if err != nil {
		c.close(disconnectErr(err))
		return
	}
	now := time.Now()
	if n < len(c.unsent) {
		c.unsent = c.unsent[n:]
		c.unacked = c.unacknowledged()
		c.deadline = c.blockedDeadline(now) // later than the entry in the heap; expire reschedules it
		return
	}
	c.unsent, c.drainedAt, c.deadline = nil, nanos(now), 0
	c.move(stateWriting)
	if c.next != nextFrames {
		c.endResponse(now)
		return
	}
	c.Wake()
	if c.transport != plain {
		c.readWhileWriting() // it stops while much is unsent
	}
}

// checkProgress is called when the deadline of a blocked connection has passed.
//
// The socket has accepted no bytes from the loop since then. The client may still have read bytes from the
// kernel's buffer: epoll reports progress only when a third of the buffer is free. So the write timeout
// applies to the number of unacknowledged bytes.
func (c *conn) checkProgress(now time.Time) {
	if src := c.stallNotified(); src != nil {
		c.move(stateStalled)
		src.Stalled()
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
