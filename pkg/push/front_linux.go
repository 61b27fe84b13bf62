package push

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listen returns a listener for an http.Server. The engine reads the first request of each
// connection of l; where that is a stream, Front.Handler answers it and the server never sees
// the connection, which saves more than half of what a connect costs. Any other connection,
// and whatever is unusual about a request, is the server's, with all its bytes.
//
// l must be a TCP listener in the clear; any other is returned as it is. Closing the listener
// closes l.
func (e *Engine) Listen(l net.Listener, front Front) (net.Listener, error) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return l, nil
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
	if err := inherit(raw, front.SendBuffer); err != nil {
		_ = file.Close()
		return nil, err
	}
	f := &frontListener{
		Listener: l, engine: e, front: front, file: file,
		conns: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}),
	}
	if addr := l.Addr().(*net.TCPAddr); !addr.IP.IsUnspecified() {
		f.local = localContext(addr)
	}
	f.work.Go(func() { f.accept(raw) })
	return f, nil
}

func localContext(addr net.Addr) context.Context {
	return context.WithValue(context.Background(), http.LocalAddrContextKey, addr)
}

// inherit sets on the listening socket what accepted ones have then, too, without a system
// call for each: what package net sets by itself, and the send buffer.
func inherit(raw syscall.RawConn, sendBuffer int) error {
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
		for _, o := range options {
			if failed == nil {
				failed = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), o.level, o.name, o.value))
			}
		}
	})
	return errors.Join(err, failed)
}

// frontListener gives the server what is not the engine's.
type frontListener struct {
	net.Listener
	engine *Engine
	front  Front
	file   *os.File
	local  context.Context // of every request; nil where each has another local address
	work   sync.WaitGroup

	conns  chan net.Conn
	failed chan error
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (f *frontListener) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case err := <-f.failed:
		return nil, err
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It blocks until nothing more is accepted.
func (f *frontListener) Close() (err error) {
	f.once.Do(func() {
		close(f.closed)
		err = f.Listener.Close()
		_ = f.file.Close()
	})
	f.work.Wait()
	return err
}

// accept takes connections until the listener is closed.
func (f *frontListener) accept(raw syscall.RawConn) {
	for {
		var fd int32
		var from netip.AddrPort
		var failed unix.Errno
		err := raw.Read(func(listener uintptr) bool {
			fd, from, failed = accept(int(listener))
			return failed != unix.EAGAIN
		})
		switch {
		case err != nil:
			return
		case failed == unix.ECONNABORTED || failed == unix.EINTR:
		case failed != 0:
			f.fail(os.NewSyscallError("accept4", failed))
		default:
			f.engine.take(fd, from, f)
		}
	}
}

// acceptPause is how long a listener waits that the machine gives no descriptor.
const acceptPause = 50 * time.Millisecond

// fail lets the server tell of an error; it takes one of a system call for temporary.
func (f *frontListener) fail(err error) {
	select {
	case f.failed <- &net.OpError{Op: "accept", Net: "tcp", Addr: f.Addr(), Err: err}:
		time.Sleep(acceptPause)
	case <-f.closed:
	}
}

// give hands a connection to the server, with the bytes that were read of it.
func (f *frontListener) give(fd int32, read []byte) {
	file := os.NewFile(uintptr(fd), "connection")
	c, err := net.FileConn(file) // which has a descriptor of its own
	_ = file.Close()
	if err != nil {
		f.fail(err)
		return
	}
	select {
	case f.conns <- &prefixed{c, read}:
	case <-f.closed:
		_ = c.Close()
	case <-f.engine.done:
		_ = c.Close()
	}
}

// prefixed is a connection some bytes of which were read already.
type prefixed struct {
	net.Conn
	read []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.read) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.read)
	if p.read = p.read[n:]; len(p.read) == 0 {
		p.read = nil
	}
	return n, nil
}

// CloseWrite lets the server finish an answer to a request that it did not read to its end:
// without it the close resets the connection, and the client may lose the answer.
func (p *prefixed) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// take begins to read the first request of a connection.
func (e *Engine) take(fd int32, from netip.AddrPort, f *frontListener) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		closeSocket(fd)
		return
	}
	e.loops[int(fd)%len(e.loops)].arrive(&arrival{
		front: f, from: from, fd: fd, generation: e.next.Add(1), since: time.Now(),
	})
}
