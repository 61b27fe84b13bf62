package engine

import (
	"crypto/tls"
	"net"
	"net/http"
)

// httpConn is a socket that an http.Server has.
type httpConn struct {
	net.Conn
	read  []byte       // what the engine has read of it, for the server to read first
	owner *socketOwner // nil where sockets are not counted

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

// CloseWrite lets the server finish an answer to a request that it did not read to its end:
// without it the close resets the connection, and the client may lose the answer.
func (c *httpConn) CloseWrite() error {
	if inner, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return inner.CloseWrite()
	}
	return nil
}

// detach makes the caller responsible for releasing the owner; nil where it was released.
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

// ConnState is a hook for http.Server.ConnState that finds out which sockets are idle.
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

// The two lists of idle sockets that a socket is in.
const (
	allIdle   = iota // of all addresses
	ownerIdle        // of its own address
)

// idleList is a list of sockets, the longest idle first. Its links are in the sockets: a
// request on a kept connection moves it twice, and allocates nothing.
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
