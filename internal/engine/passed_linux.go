package engine

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"

	"golang.org/x/sys/unix"
)

// passToServer passes the connection to the http.Server, together with the input. It blocks until the server
// accepts it.
func (c *conn) passToServer() {
	if c.registration != notRegistered {
		_ = epollCtl(c.loop.engine.epollFD, unix.EPOLL_CTL_DEL, c.fd, nil)
	}
	f := c.listener
	inner, err := f.netConn(c.fd)
	if err != nil {
		c.releaseSocket()
		f.reportError(err)
		return
	}
	own := newHTTPConn(inner, c.owner)
	own.listener, own.read = f, bytes.Clone(c.input) // a copy, because the input may be in an acceptor's buffer
	var passed net.Conn = own
	if s, ok := c.transport.(*secure); ok {
		passed = s.passed(own)
	}
	select {
	case f.conns <- passed:
	case <-f.closed:
		_ = passed.Close()
	case <-f.engine.done:
		_ = passed.Close()
	}
}

// netConn returns a connection of package net over a socket, and closes its descriptor, also after an error.
func (f *engineListener) netConn(fd int32) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "connection")
	defer file.Close()
	inner, err := net.FileConn(file) // duplicates the descriptor
	// Repeated, because accept4 allocates a descriptor even if no connection is waiting, and another
	// acceptor may take the descriptor that has just become free.
	for noDescriptors(err) && f.opts.Sockets.closeIdle() {
		inner, err = net.FileConn(file)
	}
	return inner, err
}

// passedConnKey is the key of the httpConn in the context of a request with TLS.
type passedConnKey struct{}

// passedConn returns the httpConn of a request whose connection the engine has passed with TLS; nil for others.
func passedConn(r *http.Request) *httpConn {
	c, _ := r.Context().Value(passedConnKey{}).(*httpConn)
	return c
}

// passTLSState makes a server set the TLS field of the requests of passed connections. By itself it does that for
// connections of type tls.Conn only, and those have no place for the bytes that the engine has decrypted.
func passTLSState(server *http.Server) {
	next, before := server.Handler, server.ConnContext
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if before != nil {
			ctx = before(ctx, c)
		}
		if own, ok := c.(*httpConn); ok && own.secure != nil {
			ctx = context.WithValue(ctx, passedConnKey{}, own)
		}
		return ctx
	}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if own := passedConn(r); own != nil {
			r.TLS = own.secure.tlsState()
		}
		if next == nil {
			next = http.DefaultServeMux
		}
		next.ServeHTTP(w, r)
	})
}
