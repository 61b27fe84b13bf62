package engine

import (
	"crypto/tls"
	"net"
	"net/http"
)

// countedSocket is an open socket in the lists of idle sockets. Its owner is nil if sockets are not counted.
type countedSocket struct {
	owner  *socketOwner
	closer socketCloser

	// Under Sockets.mu.
	released bool
	isIdle   bool
	links    [2]idleLinks
}

// socketCloser closes an idle socket in favour of a new one. closeEvicted blocks until its descriptor is
// closed, and does not release the owner.
type socketCloser interface{ closeEvicted() }

// release decrements the counts, unless they are already.
func (c *countedSocket) release() { c.detach().release() }

// detach makes the caller responsible for releasing the owner. It returns nil if the owner is released.
func (c *countedSocket) detach() *socketOwner {
	if c.owner == nil {
		return nil
	}
	s := c.owner.sockets
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.released {
		return nil
	}
	c.released = true
	c.setIdleLocked(false)
	return c.owner
}

func (c *countedSocket) releaseLocked() {
	c.released = true
	c.setIdleLocked(false)
	c.owner.releaseLocked()
}

// setIdle records whether the socket is idle. It returns false if the socket was evicted.
func (c *countedSocket) setIdle(yes bool) bool {
	if c.owner == nil {
		return true
	}
	s := c.owner.sockets
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.released {
		return false
	}
	c.setIdleLocked(yes)
	return true
}

func (c *countedSocket) setIdleLocked(yes bool) {
	if c.isIdle == yes {
		return
	}
	c.isIdle = yes
	for _, list := range []*idleList{&c.owner.sockets.idle, &c.owner.idle} {
		if yes {
			list.push(c)
		} else {
			list.remove(c)
		}
	}
}

// httpConn is a socket passed to an http.Server.
type httpConn struct {
	net.Conn
	countedSocket
	listener *engineListener // nil unless the socket came through one
	secure   *secure         // nil without TLS, and for a tls.Conn over this socket
	read     []byte          // bytes already read by the engine; the server reads them first
}

func newHTTPConn(c net.Conn, owner *socketOwner) *httpConn {
	own := &httpConn{Conn: c, countedSocket: countedSocket{owner: owner}}
	own.closer = own
	return own
}

func (c *httpConn) closeEvicted() { _ = c.Conn.Close() }

// Read implements net.Conn.
func (c *httpConn) Read(b []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

// Close implements net.Conn.
func (c *httpConn) Close() error {
	err := c.Conn.Close()
	c.release()
	return err
}

// CloseWrite closes the sending side. The http.Server uses it after a response to a request with an unread
// rest. Without it the close would reset the socket, and the client might lose the response.
func (c *httpConn) CloseWrite() error {
	if inner, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return inner.CloseWrite()
	}
	return nil
}

// ConnState is a hook for http.Server.ConnState. It records the idle sockets.
func (s *Sockets) ConnState(c net.Conn, state http.ConnState) {
	if s == nil {
		return
	}
	if own := httpConnOf(c); own != nil {
		own.setIdle(state == http.StateIdle)
	}
}

// httpConnOf returns the httpConn of a connection of an http.Server, which may have TLS on top; nil if it has
// none.
func httpConnOf(c net.Conn) *httpConn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	switch c := c.(type) {
	case *httpConn:
		return c
	case interface{ underHTTP() *httpConn }:
		return c.underHTTP()
	}
	return nil
}

// The lists of idle sockets. A socket is in both.
const (
	allIdle   = iota // of all addresses
	ownerIdle        // of its own address
)

// idleList is a list of idle sockets, the longest idle first. The links are in the sockets, because each
// request on a kept-alive socket changes the list twice and must not allocate.
type idleList struct {
	links       int // allIdle or ownerIdle
	first, last *countedSocket
	len         int
}

type idleLinks struct{ before, behind *countedSocket }

func (l *idleList) push(c *countedSocket) {
	c.links[l.links] = idleLinks{before: l.last}
	if l.last == nil {
		l.first = c
	} else {
		l.last.links[l.links].behind = c
	}
	l.last = c
	l.len++
}

func (l *idleList) remove(c *countedSocket) {
	at := c.links[l.links]
	if at.before == nil {
		l.first = at.behind
	} else {
		at.before.links[l.links].behind = at.behind
	}
	if at.behind == nil {
		l.last = at.before
	} else {
		at.behind.links[l.links].before = at.before
	}
	c.links[l.links] = idleLinks{}
	l.len--
}
