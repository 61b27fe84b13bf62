package engine

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a connection, from its accept to its end or until net/http has it. The goroutine that has the
// connection, by its state, owns all fields but wakes.
type conn struct {
	loop      *loop
	listener  *engineListener // nil if net/http accepted the socket without Attach
	owner     *socketOwner    // counts the socket
	transport transport
	src       Source
	handshake *handshake // in stateHello and stateHandshake
	idle      *idleConn  // since the first wait for a next request
	fd        int32

	generation uint32
	wakes      atomic.Uint32 // the flags queued and woken

	state        state
	registration registration
	attached     bool // the loop has the connection; only the loop writes it
	next         next
	mayKeep      bool  // the client allows further requests on the connection
	unacked      int32 // unacknowledged bytes at the last check

	input        []byte // the bytes read of requests
	head         []byte // the head of the response, not yet written
	unsent       []byte // the bytes that the socket has not accepted, as the transport has encoded them
	endErr       error
	timeout      int64 // nanoseconds
	deadline     int64 // nanoseconds since clockBase; 0 for none
	heapDeadline int64 // its entry in the heap of the loop; 0 for none
	written      int64 // bytes of the response
	drainedAt    int64 // when all bytes of the response had been accepted, as deadline; 0 before
}

// next is the step after all bytes of a response are written.
type next uint8

const (
	nextFrames  next = iota // the response continues
	nextRequest             // it is complete, and the connection is kept for a further request
	nextClose               // it is complete or aborted, and the connection ends
)

// registration is the state of the socket at epoll.
type registration uint8

const (
	notRegistered registration = iota
	outdated                   // events were dropped since, because a goroutine had the connection
	forInput                   // input and disconnects
	forOutput                  // and that the socket accepts bytes again
)

// The flags of conn.wakes.
const (
	queued uint32 = 1 << iota // in the queue of the loop
	woken                     // Wake was called
)

// Wake implements Waker. It queues the connection unless it is queued already.
func (c *conn) Wake() {
	if c.wakes.Or(queued|woken)&queued == 0 {
		c.loop.add(c)
	}
}

// turn continues a connection that was woken.
func (c *conn) turn(now time.Time) {
	flags := c.wakes.Swap(0) // before the source is called, so that later events wake the connection again
	if !c.attached {
		c.wakes.Or(flags & woken) // for the time when the loop has it again
		return
	}
	c.proceed(flags&woken != 0, now)
}

// attach takes over a connection from another goroutine.
func (c *conn) attach(now time.Time) {
	c.attached = true
	c.loop.conns[c.fd] = c
	if !c.register() {
		return
	}
	if c.state == stateWriting && c.transport != plain && c.next == nextFrames {
		c.readWhileWriting() // bytes that the transport has read with the request
	}
	c.proceed(c.wakes.Swap(0)&woken != 0, now)
}

// detach is called before another goroutine gets the connection.
func (c *conn) detach() {
	c.attached = false
	delete(c.loop.conns, c.fd)
	c.deadline, c.heapDeadline = 0, 0
	if c.registration != notRegistered {
		c.registration = outdated
	}
}

// proceed continues the work of the connection's state.
func (c *conn) proceed(woken bool, now time.Time) {
	switch c.state {
	case stateHello:
		c.readHello()
	case stateRequest:
		c.readRequest(now)
	case stateWriting:
		c.write(woken, now)
	}
}

// register registers the socket with epoll. Epoll also reports what has happened before.
func (c *conn) register() bool {
	op := unix.EPOLL_CTL_ADD
	switch c.registration {
	case outdated:
		op = unix.EPOLL_CTL_MOD
	case forInput, forOutput:
		return true
	}
	c.registration = forInput
	return c.watch(op, unix.EPOLLIN)
}

// watch changes the registration. After an error the connection is closed.
func (c *conn) watch(op int, want uint32) bool {
	if err := c.loop.engine.watch(op, c.fd, c.generation, want); err != nil {
		c.close(err)
		return false
	}
	return true
}

// handleReadiness handles an epoll event.
func (c *conn) handleReadiness(events uint32) {
	// A client that has ended its sending side still receives the rest of a complete response.
	gone := uint32(unix.EPOLLHUP | unix.EPOLLERR)
	if c.next == nextFrames {
		gone |= unix.EPOLLRDHUP
	}
	switch c.state {
	case stateHello:
		c.readHello()
	case stateHandshake:
		if events&gone != 0 {
			c.leaveQueue()
		}
		if c.state == stateHandshake {
			c.handshake.signal()
		}
	case stateRequest:
		c.readRequest(time.Now())
	case stateWriting, stateBlocked, stateStalled:
		if events&gone != 0 {
			c.close(ErrGone)
			return
		}
		if events&unix.EPOLLIN != 0 {
			c.readWhileWriting()
		}
		if events&unix.EPOLLOUT != 0 && c.state.waitsForSocket() {
			c.resume()
		}
	}
}

// expired is called when the deadline has passed.
func (c *conn) expired(now time.Time) {
	switch c.state {
	case stateHello, stateRequest:
		c.close(errSilent)
	case stateHandshake:
		c.leaveQueue()
	case stateWriting:
		c.write(true, now)
	case stateBlocked, stateStalled:
		c.checkProgress(now)
	}
}

// close ends the connection, and the response that it may have. A response that is not complete ends without
// its last chunk. The goroutine that has the connection calls it.
func (c *conn) close(err error) {
	if c.state == stateClosed {
		return
	}
	switch {
	case c.next == nextClose:
		c.sayGoodbye()
	case c.state == stateRequest:
		c.transport.end(c.fd)
	}
	c.move(stateClosed)
	if c.attached {
		c.attached = false
		delete(c.loop.conns, c.fd)
		c.heapDeadline = 0 // else detach has done it; the loop may read it now
	}
	closeSocket(c.fd) // also removes it from epoll
	c.releaseSocket()
	src, written := c.src, c.written
	c.src, c.transport, c.input, c.unsent, c.head, c.handshake = nil, nil, nil, nil, nil, nil
	if src != nil {
		src.Ended(err, written)
	}
}

// releaseSocket decrements the counts of the socket, unless it was evicted.
func (c *conn) releaseSocket() {
	if c.idle != nil {
		c.idle.release()
	} else {
		c.owner.release()
	}
}

// sayGoodbye prepares the socket of a response whose bytes are all written for its close.
func (c *conn) sayGoodbye() {
	if len(c.unsent) == 0 {
		c.transport.end(c.fd)
	}
	c.discard()
}

// discard reads the bytes sent by the peer, up to the size of a socket's buffer. Closing a socket with
// unread bytes resets it, and the peer loses the bytes that it has not read.
func (c *conn) discard() {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for range 128 {
		n, _, err := unix.Recvfrom(int(c.fd), (*buf)[:cap(*buf)], unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		if n <= 0 || err != nil {
			return
		}
	}
}
