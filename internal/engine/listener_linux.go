package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// WrapListener returns a listener for an http.Server, and answers subscribe requests itself.
//
// The engine reads the first request of each connection of l. If it is a subscribe request,
// opts.Handler answers it, and the server does not see the connection. This saves more than half of the
// time of a connect. All other connections are passed to the server, with all their bytes, and so are
// unusual requests.
//
// This applies to TCP listeners without TLS. Connections of other listeners are all passed to the server.
// Closing the returned listener closes l.
func (e *Engine) WrapListener(l net.Listener, opts ListenerOptions) (net.Listener, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return opts.Sockets.Listen(l, opts.SendBuffer), nil
	}
	if opts.HeadTimeout == 0 {
		opts.HeadTimeout = 10 * time.Second
	}
	file, err := tcp.File() // a duplicate of the descriptor
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := setInherited(raw, opts.SendBuffer); err != nil {
		_ = file.Close()
		return nil, err
	}
	f := &engineListener{
		Listener: l, engine: e, opts: opts, file: file,
		conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{}),
	}
	if addr := l.Addr().(*net.TCPAddr); !addr.IP.IsUnspecified() {
		f.local = localContext(addr)
	}
	f.startAcceptor(raw)
	return f, nil
}

func localContext(addr net.Addr) context.Context {
	return context.WithValue(context.Background(), http.LocalAddrContextKey, addr)
}

// deferAccept is the time for which the kernel delays the accept of a connection without a request, in
// seconds. The acceptor then finds the request and does not need epoll. A connection without a request is
// accepted after that time, with the next packet of its handshake.
const deferAccept = 1

// setInherited sets options on the listening socket that accepted sockets inherit. This saves system calls
// for each connection. The options are those set by package net, and the send buffer.
func setInherited(raw syscall.RawConn, sendBuffer int) error {
	type option struct{ level, name, value int }
	options := []option{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15}, // seconds
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
	}
	if sendBuffer > 0 {
		options = append(options, option{unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer})
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferAccept) // optional
		for _, o := range options {
			if failed == nil {
				failed = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), o.level, o.name, o.value))
			}
		}
	})
	return errors.Join(err, failed)
}

// engineListener returns the connections for the http.Server from Accept.
type engineListener struct {
	net.Listener
	engine *Engine
	opts   ListenerOptions
	file   *os.File
	local  context.Context // of every request; nil if the local address differs by connection

	waiting atomic.Int32 // goroutines in accept, or about to call it

	conns  chan net.Conn
	errs   chan error
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (f *engineListener) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case err := <-f.errs:
		return nil, err
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It blocks until nothing more is accepted.
func (f *engineListener) Close() (err error) {
	f.once.Do(func() {
		close(f.closed)
		err = f.Listener.Close()
		_ = f.file.Close() // waits for running accepts
	})
	return err
}

// spareAcceptors is the maximum number of goroutines waiting in accept. firstRead is the size of an
// acceptor's buffer, in bytes. A loop reads the rest of a longer request.
const (
	spareAcceptors = 64
	firstRead      = 4 << 10
)

// acceptor is a goroutine that accepts connections and answers complete requests. A connect is therefore
// handled by one goroutine, without waking another. As a handler may block, another goroutine is always
// waiting in accept.
type acceptor struct {
	listener *engineListener
	buf      [firstRead]byte

	fd    int32
	from  netip.AddrPort
	errno unix.Errno
}

// run accepts connections until the listener is closed or there are enough other acceptors.
func (a *acceptor) run(raw syscall.RawConn) {
	f := a.listener
	try := a.acceptOnce // outside of the loop, because a method value allocates
	for raw.Read(try) == nil {
		if a.errno != 0 {
			if a.errno != unix.ECONNABORTED && a.errno != unix.EINTR {
				if noDescriptors(a.errno) {
					f.opts.Sockets.closeIdle()
				}
				f.reportError(os.NewSyscallError("accept4", a.errno)) // no other acceptor is started, as it would fail too
			}
			continue
		}
		if f.waiting.Add(-1) == 0 {
			f.startAcceptor(raw)
		}
		if owner, ok := f.opts.Sockets.acquire(a.from.Addr()); ok {
			f.engine.serveAccepted(&pendingConn{listener: f, owner: owner, from: a.from, fd: a.fd, since: time.Now()}, a.buf[:])
		} else {
			closeSocket(a.fd)
		}
		if f.waiting.Add(1) > spareAcceptors {
			f.waiting.Add(-1)
			return
		}
	}
}

func (a *acceptor) acceptOnce(listener uintptr) bool {
	a.fd, a.from, a.errno = accept(int(listener))
	return a.errno != unix.EAGAIN
}

// startAcceptor starts another acceptor.
func (f *engineListener) startAcceptor(raw syscall.RawConn) {
	f.waiting.Add(1)
	go (&acceptor{listener: f}).run(raw)
}

// acceptPause is the pause after a failed accept, for example without free descriptors.
const acceptPause = 50 * time.Millisecond

// reportError returns an error from Accept, where the http.Server logs it. The server treats errors of
// system calls as temporary.
func (f *engineListener) reportError(err error) {
	select {
	case f.errs <- &net.OpError{Op: "accept", Net: "tcp", Addr: f.Addr(), Err: err}:
		time.Sleep(acceptPause)
	case <-f.closed:
	}
}

// passConn passes a connection to the http.Server, together with the bytes read from it.
func (f *engineListener) passConn(fd int32, owner *socketOwner, read []byte) {
	file := os.NewFile(uintptr(fd), "connection")
	inner, err := net.FileConn(file) // duplicates the descriptor
	// Repeated, because accept4 allocates a descriptor even if no connection is waiting, and another
	// acceptor may take the descriptor that has just become free.
	for noDescriptors(err) && f.opts.Sockets.closeIdle() {
		inner, err = net.FileConn(file)
	}
	_ = file.Close()
	if err != nil {
		owner.release()
		f.reportError(err)
		return
	}
	c := &httpConn{Conn: inner, read: read, owner: owner}
	select {
	case f.conns <- c:
	case <-f.closed:
		_ = c.Close()
	case <-f.engine.done:
		_ = c.Close()
	}
}

// serveAccepted reads the first request of a connection, and answers it if it is complete. It blocks
// while the handler runs, or until the http.Server accepts the connection.
func (e *Engine) serveAccepted(p *pendingConn, buf []byte) {
	if !e.trackRunning() {
		p.close()
		return
	}
	defer e.running.Done()
	n, gone := readAvailable(p.fd, buf)
	if gone {
		p.close()
		return
	}
	p.head = buf[:n]
	switch p.classify() {
	case complete:
		p.serve(e)
	case passThrough:
		p.passToServer(e)
	case incomplete:
		p.head = bytes.Clone(p.head)
		p.generation, p.watched = e.nextGeneration.Add(1), true
		e.loops[int(p.fd)%len(e.loops)].addPending(p)
	}
}

// trackRunning makes Close wait for a call of running.Done. It returns false after Close.
func (e *Engine) trackRunning() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if !e.closed {
		e.running.Add(1)
	}
	return !e.closed
}
