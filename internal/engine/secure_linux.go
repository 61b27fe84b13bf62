package engine

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// secure is the transport with TLS: a tls.Conn over a socket that never blocks. An idle connection costs no
// goroutine.
type secure struct {
	tls *tls.Conn
	raw rawSocket
}

func newSecure(fd int32, cfg *tls.Config) *secure {
	s := &secure{raw: rawSocket{fd: fd}}
	s.tls = tls.Server(&s.raw, cfg)
	return s
}

func (s *secure) read(_ int32, b []byte) (n int, reply []byte, err error) {
	s.raw.out = nil
	n, err = s.tls.Read(b)
	if err != nil && errors.Is(err, errNoInput) {
		err = errWait
	}
	return n, s.raw.takeOut(), err
}

func (s *secure) write(fd int32, b []byte, scratch *[]byte) (rest []byte, written int, err error) {
	s.raw.out = (*scratch)[:0]
	_, err = s.tls.Write(b)
	out := s.raw.takeOut()
	if err != nil {
		return nil, 0, err
	}
	if cap(out) <= 3*writeSize {
		*scratch = out[:0]
	}
	written, err = send(fd, out)
	return out[written:], written, err
}

func (s *secure) end(fd int32) {
	s.raw.out = nil
	_ = s.tls.CloseWrite() // close_notify
	if out := s.raw.takeOut(); len(out) > 0 {
		_, _ = send(fd, out)
	}
}

func (s *secure) tlsState() *tls.ConnectionState {
	state := s.tls.ConnectionState()
	return &state
}

// passed returns the connection for an http.Server, over the httpConn of the socket. HTTP/2 needs a tls.Conn.
// HTTP/1.1 needs the bytes that are decrypted already.
func (s *secure) passed(over *httpConn) net.Conn {
	if s.tls.ConnectionState().NegotiatedProtocol == "h2" {
		s.raw.served = over
		return s.tls
	}
	s.raw.served = over.Conn
	over.Conn, over.secure = s.tls, s
	return over
}

// rawSocket is the socket below a tls.Conn. There are three kinds of use:
//
//   - During the handshake, reads and writes wait for epoll.
//   - While the engine has the connection, reads return the available bytes or errNoInput, and writes append to
//     out.
//   - While an http.Server has the connection, served is the socket.
type rawSocket struct {
	fd        int32
	handshake *handshake
	out       []byte
	served    net.Conn
}

// errNoInput is the error of a read without available bytes. The tls.Conn keeps a part of a record, and
// continues with the next read, because the error is temporary.
var errNoInput net.Error = noInput{}

type noInput struct{}

func (noInput) Error() string   { return "no bytes are available" }
func (noInput) Timeout() bool   { return true }
func (noInput) Temporary() bool { return true }

// Read implements net.Conn.
func (s *rawSocket) Read(b []byte) (int, error) {
	switch {
	case s.served != nil:
		return s.served.Read(b)
	case s.handshake != nil:
		return s.handshake.read(b)
	}
	n, err := readSocket(s.fd, b)
	if err == errWait {
		err = errNoInput
	}
	return n, err
}

// Write implements net.Conn.
func (s *rawSocket) Write(b []byte) (int, error) {
	switch {
	case s.served != nil:
		return s.served.Write(b)
	case s.handshake != nil:
		return s.handshake.write(b)
	}
	s.out = append(s.out, b...)
	return len(b), nil
}

// takeOut returns the written bytes.
func (s *rawSocket) takeOut() []byte {
	out := s.out
	s.out = nil
	return out
}

// Close implements net.Conn. While the engine has the socket, it closes the socket itself.
func (s *rawSocket) Close() error {
	if s.served != nil {
		return s.served.Close()
	}
	return nil
}

// takeBack ends the use by an http.Server. fd is a duplicate of the served socket.
func (s *rawSocket) takeBack(fd int32) { s.fd, s.served = fd, nil }

// underHTTP returns the httpConn below the tls.Conn of an http.Server; nil if it is not below.
func (s *rawSocket) underHTTP() *httpConn {
	own, _ := s.served.(*httpConn)
	return own
}

// LocalAddr implements net.Conn.
func (s *rawSocket) LocalAddr() net.Addr {
	if s.served != nil {
		return s.served.LocalAddr()
	}
	addr, _ := localAddress(s.fd)
	return net.TCPAddrFromAddrPort(addr)
}

// RemoteAddr implements net.Conn.
func (s *rawSocket) RemoteAddr() net.Addr {
	if s.served != nil {
		return s.served.RemoteAddr()
	}
	addr, _ := peerAddress(s.fd)
	return net.TCPAddrFromAddrPort(addr)
}

// SetDeadline implements net.Conn. While the engine has the socket, deadlines are those of its loop.
func (s *rawSocket) SetDeadline(t time.Time) error {
	if s.served != nil {
		return s.served.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *rawSocket) SetReadDeadline(t time.Time) error {
	if s.served != nil {
		return s.served.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *rawSocket) SetWriteDeadline(t time.Time) error {
	if s.served != nil {
		return s.served.SetWriteDeadline(t)
	}
	return nil
}
