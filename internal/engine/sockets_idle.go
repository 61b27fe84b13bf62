package engine

import (
	"crypto/tls"
	"net"
	"net/http"
)

// httpConn is a socket passed to an http.Server.
type httpConn struct {
	net.Conn
	read  []byte       // bytes already read by the engine; the server reads them first
	owner *socketOwner // nil if sockets are not counted

	// Under Sockets.mu.
	released bool
	isIdle   bool
	links    [2]idleLinks
}

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
	c.detach().release()
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

// detach makes the caller responsible for releasing the owner. It returns nil if the owner is released.
func (c *httpConn) detach() *socketOwner {
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

func (c *httpConn) releaseLocked() {
	c.released = true
	c.setIdleLocked(false)
	c.owner.releaseLocked()
}

// ConnState is a hook for http.Server.ConnState. It records the idle sockets.
func (s *Sockets) ConnState(c net.Conn, state http.ConnState) {
	if s == nil {
		return
	}
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if own, ok := c.(*httpConn); ok && own.owner != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !own.released {
			own.setIdleLocked(state == http.StateIdle)
		}
	}
}

func (c *httpConn) setIdleLocked(yes bool) {
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

// The lists of idle sockets. A socket is in both.
const (
	allIdle   = iota // of all addresses
	ownerIdle        // of its own address
)

// idleList is a list of idle sockets, the longest idle first. The links are in the sockets, because each
// request on a kept-alive socket changes the list twice and must not allocate.
type idleList struct {
	links       int // allIdle or ownerIdle
	first, last *httpConn
	len         int
}

type idleLinks struct{ before, behind *httpConn }

func (l *idleList) push(c *httpConn) {
	c.links[l.links] = idleLinks{before: l.last}
	if l.last == nil {
		l.first = c
	} else {
		l.last.links[l.links].behind = c
	}
	l.last = c
	l.len++
}

func (l *idleList) remove(c *httpConn) {
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
