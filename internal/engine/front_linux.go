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

// Listen returns a listener for an http.Server. The engine reads the first request of each
// connection of l; where that is a stream, Front.Handler answers it and the server never sees
// the connection, which saves more than half of what a connect costs. Any other connection,
// and whatever is unusual about a request, is the server's, with all its bytes.
//
// l must be a TCP listener in the clear; of any other all connections are the server's. Closing the
// listener closes l.
func (e *Engine) WrapListener(l net.Listener, front ListenerOptions) (net.Listener, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return front.Sockets.Listen(l, front.SendBuffer), nil
	}
	if front.HeadTimeout == 0 {
		front.HeadTimeout = 10 * time.Second
	}
	file, err := tcp.File() // a second descriptor of the same socket
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := setInherited(raw, front.SendBuffer); err != nil {
		_ = file.Close()
		return nil, err
	}
	f := &engineListener{
		Listener: l, engine: e, opts: front, file: file,
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

// deferAccept is how long the kernel keeps a connection to itself that has not asked for anything
// yet, in seconds: whoever accepts one finds the request there, and need not ask epoll for it. One
// that stays silent longer is handed over with the next packet of its handshake.
const deferAccept = 1

// inherit sets on the listening socket what accepted ones have then, too, without a system
// call for each: what package net sets by itself, and the send buffer.
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
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferAccept) // where it cannot be, all works without
		for _, o := range options {
			if failed == nil {
				failed = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), o.level, o.name, o.value))
			}
		}
	})
	return errors.Join(err, failed)
}

// frontListener gives the server what is not the engine's.
type engineListener struct {
	net.Listener
	engine *Engine
	opts  ListenerOptions
	file   *os.File
	local  context.Context // of every request; nil where each has another local address

	waiting atomic.Int32 // goroutines that accept, or are about to

	conns  chan net.Conn
	errs chan error
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
		_ = f.file.Close() // waits for whoever is about to accept
	})
	return err
}

// spareAcceptors is how many goroutines at most wait to accept, and firstRead how much of a request
// each reads at once. One that is longer is its loop's to read.
const (
	spareAcceptors = 64
	firstRead      = 4 << 10
)

// acceptor is a goroutine that takes connections, and answers those that have asked. So a connect
// is one goroutine's work, and no other has to be woken. A handler may block: there is always one
// more that accepts.
type acceptor struct {
	listener *engineListener
	buf   [firstRead]byte

	fd     int32
	from   netip.AddrPort
	errno unix.Errno
}

// run ends when the listener is closed, or enough others do the same.
func (a *acceptor) run(raw syscall.RawConn) {
	f := a.listener
	try := a.acceptOnce // once: a method value is an allocation
	for raw.Read(try) == nil {
		if a.errno != 0 {
			if a.errno != unix.ECONNABORTED && a.errno != unix.EINTR {
				if noDescriptors(a.errno) {
					f.opts.Sockets.closeIdle()
				}
				f.reportError(os.NewSyscallError("accept4", a.errno)) // nobody takes its place meanwhile: they would fail, too
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

// accept adds a goroutine to those that take connections.
func (f *engineListener) startAcceptor(raw syscall.RawConn) {
	f.waiting.Add(1)
	go (&acceptor{listener: f}).run(raw)
}

// acceptPause is how long a listener waits that the machine gives no descriptor.
const acceptPause = 50 * time.Millisecond

// fail lets the server tell of an error; it takes one of a system call for temporary.
func (f *engineListener) reportError(err error) {
	select {
	case f.errs <- &net.OpError{Op: "accept", Net: "tcp", Addr: f.Addr(), Err: err}:
		time.Sleep(acceptPause)
	case <-f.closed:
	}
}

// give hands a connection to the server, with the bytes that were read of it.
func (f *engineListener) passConn(fd int32, owner *socketOwner, read []byte) {
	file := os.NewFile(uintptr(fd), "connection")
	inner, err := net.FileConn(file) // which has a descriptor of its own
	// More than once: accept4 takes a descriptor also where no connection waits, and another
	// acceptor that does so may use the one that has just become free.
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

// take reads the first request of a connection, and answers it if it is there. It blocks for as
// long as the handler does, or the server does not accept.
func (e *Engine) serveAccepted(a *pendingConn, buf []byte) {
	if !e.trackRunning() {
		a.close()
		return
	}
	defer e.running.Done()
	n, gone := readAvailable(a.fd, buf)
	if gone {
		a.close()
		return
	}
	a.head = buf[:n]
	switch a.classify() {
	case complete:
		a.serve(e)
	case passThrough:
		a.passToServer(e)
	case incomplete:
		a.head = bytes.Clone(a.head)
		a.generation, a.watched = e.nextGeneration.Add(1), true
		e.loops[int(a.fd)%len(e.loops)].addPending(a)
	}
}

// begin keeps Close waiting until running.Done is called; false says that it was called before.
func (e *Engine) trackRunning() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if !e.closed {
		e.running.Add(1)
	}
	return !e.closed
}
