package e2e_test

import (
	"math/rand/v2"
	"net"
	"sync"
)

// link is one connection through a proxy.
type link struct {
	client, server *net.TCPConn
	gate           *gate

	mu   sync.Mutex
	left int  // bytes that still reach the client; negative for no limit
	held bool // one side has disconnected, which the other must not notice
}

func (l *link) cut(way cut) {
	switch way {
	case cutClean:
		_ = l.client.Close()
		_ = l.server.Close()
	case cutReset:
		l.reset()
	case cutMidByte:
		l.set(rand.IntN(700), false)
	case cutServer:
		l.set(-1, true)
		reset(l.client)
	case cutClient:
		l.set(-1, true)
		reset(l.server)
	}
}

func (l *link) set(left int, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left, l.held = left, held
}

// allow returns how many of n bytes may still reach the client, and subtracts them.
func (l *link) allow(n int) (allowed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left < 0 {
		return n
	}
	allowed = min(n, l.left)
	l.left -= allowed
	return allowed
}

// down copies to the client until one side ends, or the limit is reached. If the server must not notice the
// disconnect of its client, it continues to read.
func (l *link) down() {
	buf := make([]byte, 4<<10)
	for {
		n, err := l.server.Read(buf)
		l.gate.pass()
		allowed := l.allow(n)
		_, failed := l.client.Write(buf[:allowed])
		if allowed < n {
			l.reset()
			return
		}
		if err != nil || failed != nil && !l.holds() {
			l.other(l.client)
			return
		}
	}
}

// up copies to the server.
func (l *link) up() {
	buf := make([]byte, 4<<10)
	for {
		n, err := l.client.Read(buf)
		l.gate.pass()
		if _, failed := l.server.Write(buf[:n]); err != nil || failed != nil {
			l.other(l.server)
			return
		}
	}
}

// other closes the remaining side, unless it must not notice.
func (l *link) other(side *net.TCPConn) {
	if !l.holds() {
		_ = side.Close()
	}
}

func (l *link) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

func (l *link) reset() {
	reset(l.client)
	reset(l.server)
}

// reset closes a connection so that the peer receives a reset.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// gate holds back all bytes in both directions, without closing a connection. The zero value is open.
type gate struct {
	mu      sync.Mutex
	blocked chan struct{} // closed when the gate opens; nil while it is open
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.blocked == nil {
		g.blocked = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.blocked != nil {
		close(g.blocked)
		g.blocked = nil
	}
}

// pass blocks while the gate is shut.
func (g *gate) pass() {
	g.mu.Lock()
	blocked := g.blocked
	g.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
}
