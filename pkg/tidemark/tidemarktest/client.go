package tidemarktest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Client returns a client connected to this feed through memory, for every host name. Its requests work in a
// bubble of testing/synctest. It is closed with the feed.
func (f *Feed) Client() *http.Client { return f.memory.client(f) }

// memory is a server and its client without sockets. The zero value is ready.
type memory struct {
	once      sync.Once
	listener  *pipeListener
	server    *http.Server
	serving   sync.WaitGroup
	transport *http.Transport
}

func (m *memory) client(h http.Handler) *http.Client {
	m.once.Do(func() {
		m.listener = &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		m.server = &http.Server{Handler: h} //nolint:gosec // G112: only the test connects
		m.transport = &http.Transport{DialContext: m.listener.dial}
		m.serving.Go(func() { _ = m.server.Serve(m.listener) })
	})
	return &http.Client{Transport: m.transport}
}

func (m *memory) close() {
	m.once.Do(func() {})
	if m.server == nil {
		return
	}
	_ = m.server.Close()
	m.transport.CloseIdleConnections()
	m.serving.Wait()
}

// pipeListener accepts pipes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var errClosed = errors.New("the feed of the test is closed")

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "memory" }
