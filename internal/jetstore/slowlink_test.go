package jetstore_test

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slowLink is a TCP proxy that delays each direction by its own number of nanoseconds. Nothing is lost or
// reordered, and the rate stays the same.
type slowLink struct {
	toServer, fromServer atomic.Int64

	listener net.Listener
	target   string
	pumps    sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

func newSlowLink(t testing.TB, target string) *slowLink {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &slowLink{listener: listener, target: target}
	l.pumps.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

func (l *slowLink) addr() string { return l.listener.Addr().String() }

func (l *slowLink) close() {
	_ = l.listener.Close()
	l.mu.Lock()
	l.closed = true
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.pumps.Wait()
}

// keep reports false when the link is closed, and the connection with it.
func (l *slowLink) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = c.Close()
		return false
	}
	l.conns = append(l.conns, c)
	return true
}

func (l *slowLink) accept() {
	for {
		client, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !l.keep(client) {
			continue
		}
		server, err := net.Dial("tcp", l.target)
		if err != nil || !l.keep(server) {
			_ = client.Close()
			continue
		}
		l.pump(server, client, &l.toServer)
		l.pump(client, server, &l.fromServer)
	}
}

type piece struct {
	due  time.Time
	data []byte
}

func (l *slowLink) pump(to, from net.Conn, delay *atomic.Int64) {
	pieces := make(chan piece, 1<<16)
	l.pumps.Go(func() {
		defer close(pieces)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			if n > 0 {
				pieces <- piece{time.Now().Add(time.Duration(delay.Load())), buf[:n]}
			}
			if err != nil {
				return
			}
		}
	})
	l.pumps.Go(func() {
		defer func() { _, _ = to.Close(), from.Close() }()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				break
			}
		}
		_ = from.Close()
		for range pieces { // lets the reader go
		}
	})
}
