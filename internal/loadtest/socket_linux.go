package loadtest

import (
	"crypto/tls"
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// socketState is the state of a socket. The loop makes all transitions:
//
//	connecting  -> open           TCP is connected, without TLS
//	connecting  -> queued         TCP is connected, with TLS
//	queued      -> handshaking    less than maxHandshakes run in the loop
//	handshaking -> open           the goroutine of the handshake has ended
//	any         -> closed         errors of the socket, and disconnects
//
// While a socket is handshaking, its goroutine reads and writes it. A socket that is closed then keeps its descriptor
// until that goroutine has ended: the number could be that of another socket otherwise.
type socketState uint8

const (
	socketConnecting socketState = iota
	socketQueued
	socketHandshaking
	socketOpen
	socketClosed
)

// socket is a TCP or TLS connection of a loop. It has one client, or with HTTP/2 the clients of its share.
type socket struct {
	fd       int
	state    socketState
	interest uint32 // of epoll
	paused   bool
	out      []byte // bytes to send; nil when there are none

	share     *share
	tls       *tls.Conn // nil without TLS
	transport *tlsTransport

	client     *client    // of HTTP/1.1
	requestDue bool       // its request is to be sent
	http2      *http2Conn // nil with HTTP/1.1
}

// share has the clients that share a socket. With HTTP/1.1 it has a single client.
type share struct {
	socket   *socket     // of new requests; nil before the first one, and after the end of it
	sessions *tls.Config // has the TLS session of these clients, as a browser has one; nil without TLS
}

// shareOf returns the share of a client.
func (l *loop) shareOf(c *client) *share {
	first := c.slot - c.slot%l.set.opts.StreamsPerConnection
	sh := l.shares[first]
	if sh == nil {
		sh = &share{}
		if l.set.server.Scheme == "https" {
			sh.sessions = l.set.tlsConfig()
		}
		l.shares[first] = sh
	}
	return sh
}

// clients returns the clients of a socket.
func (sock *socket) clients() []*client {
	switch {
	case sock.http2 != nil:
		return sock.http2.clients()
	case sock.client != nil:
		return []*client{sock.client}
	}
	return nil
}

// request sends the request of a client, at once or when the socket is open.
func (l *loop) request(sock *socket, c *client) error {
	if sock.http2 != nil {
		sock.http2.request(c)
	} else {
		sock.client, sock.requestDue = c, true
	}
	if sock.state != socketOpen {
		return nil
	}
	return l.sendRequests(sock)
}

// sendRequests sends the requests and other output of the clients of an open socket.
func (l *loop) sendRequests(sock *socket) error {
	var b []byte
	switch {
	case sock.http2 != nil:
		b = sock.http2.takeOutput()
	case sock.requestDue:
		sock.requestDue = false
		b = sock.client.request()
	}
	if len(b) > 0 {
		if sock.tls == nil {
			sock.out = append(sock.out, b...)
		} else if _, err := sock.tls.Write(b); err != nil {
			return err
		}
	}
	return l.flush(sock)
}

// handleSocket handles an event of epoll.
func (l *loop) handleSocket(sock *socket, events uint32) error {
	switch sock.state {
	case socketConnecting:
		return l.finishConnect(sock)
	case socketHandshaking:
		sock.transport.notify()
	case socketOpen:
		if events&unix.EPOLLOUT != 0 {
			if err := l.flush(sock); err != nil {
				return err
			}
		}
		if events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			return l.read(sock)
		}
	}
	return nil
}

func (l *loop) finishConnect(sock *socket) error {
	if code, err := unix.GetsockoptInt(sock.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		return errors.Join(err, unix.Errno(code))
	}
	if sock.share.sessions == nil {
		return l.opened(sock)
	}
	sock.state = socketQueued
	l.queued = append(l.queued, sock)
	l.startHandshakes()
	return nil
}

// opened is called when a socket is ready for requests.
func (l *loop) opened(sock *socket) error {
	sock.state = socketOpen
	return l.sendRequests(sock)
}

// flush sends as much as the socket accepts, and waits for the rest with epoll.
func (l *loop) flush(sock *socket) error {
	if len(sock.out) > 0 {
		n, err := unix.Write(sock.fd, sock.out)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return err
		}
		sock.out = sock.out[max(n, 0):]
	}
	if len(sock.out) == 0 {
		sock.out = nil
	}
	return l.updateInterest(sock)
}

func (l *loop) updateInterest(sock *socket) error {
	var interest uint32
	if !sock.paused {
		interest |= unix.EPOLLIN
	}
	if sock.out != nil {
		interest |= unix.EPOLLOUT
	}
	if interest == sock.interest {
		return nil
	}
	sock.interest = interest
	return l.control(unix.EPOLL_CTL_MOD, sock.fd, interest)
}

// read reads once: epoll reports again what is left.
func (l *loop) read(sock *socket) error {
	n, err := unix.Read(sock.fd, l.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errServerClosed
	}
	l.shard.bytes += int64(n)
	if sock.tls == nil {
		err = l.receive(sock, l.buf[:n])
	} else {
		err = l.decrypt(sock, l.buf[:n])
	}
	if err != nil {
		return err
	}
	return l.finishRead(sock)
}

// finishRead sends the output that follows from received bytes: with HTTP/2, acknowledgements and updates of windows. An HTTP/2
// connection that accepts no more requests is closed when its last response has ended.
func (l *loop) finishRead(sock *socket) error {
	if h := sock.http2; h != nil && h.ending {
		if sock.share.socket == sock {
			sock.share.socket = nil
		}
		if len(h.clients()) == 0 {
			return errServerClosed
		}
	}
	return l.sendRequests(sock)
}

// receive passes bytes to the clients of a socket.
func (l *loop) receive(sock *socket, b []byte) error {
	if sock.http2 != nil {
		return sock.http2.receive(b)
	}
	requestDue, err := sock.client.read(b)
	sock.requestDue = sock.requestDue || requestDue
	return err
}

// pause stops or continues reading. A client that shares its socket stops its HTTP/2 stream alone.
func (l *loop) pause(sock *socket, c *client, paused bool) error {
	if sock.state != socketOpen {
		return nil
	}
	if sock.http2 != nil && l.set.opts.StreamsPerConnection > 1 {
		sock.http2.pause(c, paused)
		return l.sendRequests(sock)
	}
	sock.paused = paused
	return l.updateInterest(sock)
}

// disconnect ends a client's request. The last one of a socket closes it.
func (l *loop) disconnect(sock *socket, c *client, reset bool) {
	if sock.http2 != nil && len(sock.clients()) > 1 {
		sock.http2.cancel(c)
		l.set.clientClosed(c, errDisconnected)
		if sock.state == socketOpen {
			if err := l.sendRequests(sock); err != nil {
				l.closeSocket(sock, false, err)
			}
		}
		return
	}
	l.closeSocket(sock, reset, errDisconnected)
}

// closeSocket closes a socket and reports it to its clients. With reset the server receives a TCP reset.
func (l *loop) closeSocket(sock *socket, reset bool, reason error) {
	if sock.state == socketClosed {
		return
	}
	if reset {
		_ = unix.SetsockoptLinger(sock.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	was := sock.state
	sock.state = socketClosed
	switch was {
	case socketHandshaking:
		sock.transport.abort()
	case socketQueued:
		l.queued = slices.DeleteFunc(l.queued, func(s *socket) bool { return s == sock })
	case socketOpen:
		if sock.tls != nil && !reset {
			_ = sock.tls.Close() // appends close_notify
			_, _ = unix.Write(sock.fd, sock.out)
		}
	}
	if was != socketHandshaking {
		delete(l.byFD, sock.fd)
		_ = unix.Close(sock.fd)
	}
	if sock.share.socket == sock {
		sock.share.socket = nil
	}
	for _, c := range sock.clients() {
		l.set.clientClosed(c, reason)
	}
}
