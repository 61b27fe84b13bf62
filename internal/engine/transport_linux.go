package engine

import (
	"crypto/tls"
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// transport carries the bytes of a connection over its socket, in the clear or with TLS. Its methods do not
// block. The goroutine that has the connection calls them.
type transport interface {
	// read reads bytes of the client. It returns errWait if there are none, and io.EOF if the client has ended
	// its side. reply are bytes that must be sent next, also after an error.
	read(fd int32, b []byte) (n int, reply []byte, err error)
	// write encodes b, and writes as much as the socket accepts. rest are the encoded bytes that are left, in b
	// or in scratch.
	write(fd int32, b []byte, scratch *[]byte) (rest []byte, written int, err error)
	// tlsState returns the state of TLS for a request; nil without TLS.
	tlsState() *tls.ConnectionState
	// end ends the sending side, if the transport can and the socket accepts it.
	end(fd int32)
}

// errWait is returned by transport.read if no bytes are available.
var errWait = errors.New("no bytes are available")

// plain is the transport without TLS.
var plain transport = plainTransport{}

type plainTransport struct{}

func (plainTransport) read(fd int32, b []byte) (int, []byte, error) {
	n, err := readSocket(fd, b)
	return n, nil, err
}

func (plainTransport) write(fd int32, b []byte, _ *[]byte) (rest []byte, written int, err error) {
	written, err = send(fd, b)
	return b[written:], written, err
}

func (plainTransport) tlsState() *tls.ConnectionState { return nil }
func (plainTransport) end(int32)                      {}

// readSocket reads the available bytes of a socket, as transport.read.
func readSocket(fd int32, b []byte) (int, error) {
	n, errno := read(fd, b)
	switch {
	case errno == unix.EAGAIN, errno == unix.EINTR:
		return 0, errWait
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
