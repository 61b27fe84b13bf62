package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// connOwner is a ResponseWriter whose connection the engine has already.
type connOwner interface {
	// takeConn returns the connection, and makes the caller responsible for it. It fails after the first byte of
	// the response.
	takeConn() (*conn, error)
}

// ownerOf returns the connOwner that w wraps; nil if there is none.
func ownerOf(w http.ResponseWriter) connOwner {
	for {
		switch inner := w.(type) {
		case connOwner:
			return inner
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return nil
		}
	}
}

// takeOver answers a request with the frames of src if it gets the connection. Otherwise it returns false.
func (e *Engine) takeOver(w http.ResponseWriter, r *http.Request, src Source, opts Options) bool {
	foreign, err := e.start(w, r, src, opts)
	if foreign != nil {
		serveHijacked(foreign, w.Header(), r, src, opts)
		return true
	}
	return err == nil
}

// start takes the connection of a request, and starts its response. With the error it returns foreign if it has
// taken the connection from net/http, but cannot get its descriptor.
func (e *Engine) start(w http.ResponseWriter, r *http.Request, src Source, opts Options) (foreign net.Conn, err error) {
	var c *conn
	if owner := ownerOf(w); owner != nil {
		c, err = owner.takeConn() // also after Close, which waits for this goroutine; give then closes the connection
	} else {
		if !e.trackRunning() { // Close waits for the loop to have the connection
			return nil, ErrClosed
		}
		defer e.running.Done()
		c, foreign, err = e.hijack(w, r)
	}
	if err != nil {
		return foreign, err
	}
	c.mayKeep = mayKeep(r, w.Header())
	c.start(src, opts, e.headerCache.get(c.closingHeader(w.Header())))
	return nil, nil
}

// hijack takes the connection of a request from net/http. With the error it returns foreign if it cannot get the
// descriptor of the connection.
func (e *Engine) hijack(w http.ResponseWriter, r *http.Request) (c *conn, foreign net.Conn, err error) {
	if r.TLS != nil && passedConn(r) == nil {
		return nil, nil, errors.New("the connection has another program's TLS")
	}
	taken, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if c, err = e.connOf(taken); err != nil {
		return nil, taken, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		buffered, _ := rw.Peek(n) // they precede the bytes that net/http has not read
		c.input = slices.Concat(buffered, c.input)
	}
	return c, nil, nil
}

// connOf returns a connection over the socket of a connection hijacked from net/http. It closes all other
// descriptors.
func (e *Engine) connOf(taken net.Conn) (*conn, error) {
	own, _ := taken.(*httpConn)
	tcp := taken
	switch {
	case own != nil && own.secure != nil:
		tcp = own.secure.raw.served
	case own != nil:
		tcp = own.Conn
	}
	fd, err := duplicate(tcp)
	if err != nil {
		return nil, err
	}
	c := e.newConn(int32(fd), nil, nil)
	c.state = statePassed
	if own != nil {
		c.listener, c.owner, c.input = own.listener, own.detach(), own.read
		if own.secure != nil {
			c.transport = own.secure
			own.secure.raw.takeBack(c.fd)
		}
	}
	_ = tcp.Close()
	c.move(stateHandler)
	return c, nil
}

func (e *Engine) newConn(fd int32, of *engineListener, owner *socketOwner) *conn {
	return &conn{
		loop: e.loops[int(fd)%len(e.loops)], listener: of, owner: owner, transport: plain, fd: fd,
		generation: e.nextGeneration.Add(1),
	}
}

// closingHeader returns the header of a response, with "Connection: close" if the connection is not kept.
func (c *conn) closingHeader(h http.Header) http.Header {
	if !c.keeps() {
		h.Set("Connection", "close")
	}
	return h
}

// duplicate returns a second descriptor of the socket, without the bookkeeping of package net, which
// costs more than the engine's.
func duplicate(c net.Conn) (fd int, err error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0, fmt.Errorf("a connection of type %T cannot be taken over", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	if err := raw.Control(func(socket uintptr) {
		fd, failed = unix.FcntlInt(socket, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return 0, err
	}
	return fd, failed
}

// serveHijacked writes to a hijacked connection on the calling goroutine. It is used if the engine cannot
// get a descriptor: a listener has wrapped the connection, or the process has no descriptors left.
func serveHijacked(c net.Conn, h http.Header, r *http.Request, src Source, opts Options) {
	ctx, gone := context.WithCancel(r.Context())
	var reading sync.WaitGroup
	reading.Go(func() {
		defer gone()
		_, _ = io.Copy(io.Discard, c)
	})
	w := &chunked{Conn: c, header: h, head: head(h, time.Now())}
	if serveBlocking(w, r.WithContext(ctx), src, opts) == ErrComplete {
		_, _ = c.Write(append(w.head, lastChunk...))
	}
	_ = c.Close() // also ends the reading goroutine
	reading.Wait()
}

// chunked is a ResponseWriter over a connection.
type chunked struct {
	net.Conn // for SetWriteDeadline
	header   http.Header
	head     []byte // nil once it is written
}

func (c *chunked) Header() http.Header { return c.header }
func (c *chunked) WriteHeader(int)     {}
func (c *chunked) Flush()              {}

// Write writes one chunk, in one piece.
func (c *chunked) Write(b []byte) (int, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	out := append((*buf)[:0], c.head...)
	c.head = nil
	out = append(strconv.AppendInt(out, int64(len(b)), 16), "\r\n"...)
	out = append(append(out, b...), "\r\n"...)
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	*buf = out[:0]
	return len(b), nil
}
