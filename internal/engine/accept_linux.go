package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
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

// attach implements Attach for TCP listeners. It returns nil for others.
func (e *Engine) attach(server *http.Server, l net.Listener, opts ListenerOptions) (net.Listener, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, nil
	}
	file, err := tcp.File() // a duplicate of the descriptor
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	raw, err := file.SyscallConn()
	if err == nil {
		err = setInherited(raw, opts.SendBuffer)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	f := &engineListener{
		Listener: l, engine: e, opts: opts, file: file, errorLog: server.ErrorLog,
		conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{}),
	}
	if addr := l.Addr().(*net.TCPAddr); !addr.IP.IsUnspecified() {
		f.local = localContext(addr)
	}
	if server.TLSConfig != nil {
		f.tls = server.TLSConfig.Clone()         // a copy, because Serve changes the original
		f.tls.DynamicRecordSizingDisabled = true // frames that wait go out as full records
		passTLSState(server)
	}
	f.startAcceptor(raw)
	return f, nil
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
	tls    *tls.Config     // nil without TLS

	errorLog *log.Logger // for failed handshakes; nil means the standard logger

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
		for _, l := range f.engine.loops {
			post(l, &l.closing, f)
		}
	})
	return err
}

func (f *engineListener) isClosed() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
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
			f.engine.serveAccepted(f.engine.newConn(a.fd, f, owner), a.from, a.buf[:])
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

// serveAccepted reads the first request of a connection, and answers it if it is complete. It blocks
// while the handler runs, or until the http.Server accepts the connection.
func (e *Engine) serveAccepted(c *conn, from netip.AddrPort, buf []byte) {
	if !e.trackRunning() {
		c.close(ErrClosed)
		return
	}
	defer e.running.Done()
	n, err := readSocket(c.fd, buf)
	if err != nil && err != errWait {
		c.close(ErrGone)
		return
	}
	c.input = buf[:n]
	if c.listener.tls != nil {
		c.input = bytes.Clone(c.input)
		c.awaitHello(from)
		return
	}
	switch c.classify() {
	case complete:
		c.move(stateHandler)
		c.serve(from)
	case passThrough:
		c.move(statePassed)
		c.passToServer()
	case incomplete:
		c.input = bytes.Clone(c.input)
		c.deadline = nanos(time.Now()) + int64(c.listener.opts.HeadTimeout)
		c.move(stateRequest)
		c.loop.give(c)
	}
}
