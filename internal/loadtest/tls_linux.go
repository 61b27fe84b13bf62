package loadtest

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// maxHandshakes is how many handshakes of a loop run at a time. Each needs a goroutine.
const maxHandshakes = 256

// startHandshakes starts handshakes of queued sockets.
func (l *loop) startHandshakes() {
	for len(l.queued) > 0 && l.handshaking < maxHandshakes {
		sock := l.queued[0]
		l.queued = l.queued[1:]
		sock.transport = &tlsTransport{socket: sock, ready: make(chan struct{}, 1)}
		sock.tls = tls.Client(sock.transport, sock.share.sessions)
		// Edge-triggered: the loop does not read the bytes of a handshake, and epoll would report them again and again.
		sock.interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLET
		if err := l.control(unix.EPOLL_CTL_MOD, sock.fd, sock.interest); err != nil {
			l.closeSocket(sock, false, err)
			continue
		}
		sock.state = socketHandshaking
		l.handshaking++
		l.handshakes.Go(func() {
			err := sock.tls.HandshakeContext(context.Background())
			l.post(command{kind: doFinishHandshake, socket: sock, err: err})
		})
	}
}

// finishHandshake is called when the goroutine of a handshake has ended.
func (l *loop) finishHandshake(sock *socket, err error) {
	l.handshaking--
	if sock.state == socketClosed {
		delete(l.byFD, sock.fd)
		_ = unix.Close(sock.fd)
	} else {
		sock.state = socketOpen
		sock.transport.ready = nil
		l.shard.bytes += sock.transport.received
		if err == nil {
			err = l.set.opts.checkProtocol(sock.tls.ConnectionState())
		}
		if err == nil {
			l.set.countHandshake(sock.tls.ConnectionState())
			err = l.opened(sock)
		}
		if err == nil {
			err = l.decrypt(sock, nil) // bytes that arrived with the last message of the handshake
		}
		if err == nil {
			err = l.finishRead(sock)
		}
		if err != nil {
			l.closeSocket(sock, false, err)
		}
	}
	l.startHandshakes()
}

// decrypt passes on the data of the complete records. crypto/tls keeps the bytes of an incomplete record: its Read
// returns the temporary error of the transport, and continues when the rest has arrived.
func (l *loop) decrypt(sock *socket, b []byte) error {
	sock.transport.in = b
	for {
		n, err := sock.tls.Read(l.plaintext)
		if n > 0 {
			if err := l.receive(sock, l.plaintext[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == errWouldBlock:
			return nil
		case err != nil:
			return err
		}
	}
}

// tlsTransport is the [net.Conn] below a [tls.Conn]. In the handshake its methods block until the loop reports that the
// socket is ready. Afterwards they do not block, and the loop calls them: Read returns the bytes that the loop has read, or
// errWouldBlock, and Write appends to the bytes that the loop sends.
type tlsTransport struct {
	socket   *socket
	in       []byte
	ready    chan struct{} // nil after the handshake
	aborted  atomic.Bool
	received int64 // in the handshake
}

// wouldBlock is a temporary [net.Error], after which crypto/tls can continue.
type wouldBlock struct{}

var errWouldBlock error = wouldBlock{}

func (wouldBlock) Error() string   { return "no more bytes have arrived" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

// notify reports an event of the socket to the handshake.
func (t *tlsTransport) notify() {
	select {
	case t.ready <- struct{}{}:
	default: // a notification that was not received yet includes this one
	}
}

// abort ends the handshake.
func (t *tlsTransport) abort() {
	t.aborted.Store(true)
	t.notify()
}

// retry repeats a system call of the handshake until the socket is ready for it.
func (t *tlsTransport) retry(call func() (int, error)) (int, error) {
	for {
		if t.aborted.Load() {
			return 0, errDisconnected
		}
		n, err := call()
		switch {
		case err == nil:
			return n, nil
		case err == unix.EAGAIN:
			<-t.ready
		case err != unix.EINTR:
			return 0, err
		}
	}
}

func (t *tlsTransport) Read(b []byte) (int, error) {
	if t.ready == nil {
		n := copy(b, t.in)
		if t.in = t.in[n:]; n == 0 {
			t.in = nil
			return 0, errWouldBlock
		}
		return n, nil
	}
	n, err := t.retry(func() (int, error) { return unix.Read(t.socket.fd, b) })
	if err == nil && n == 0 {
		return 0, errServerClosed
	}
	t.received += int64(n)
	return n, err
}

func (t *tlsTransport) Write(b []byte) (int, error) {
	if t.ready == nil {
		t.socket.out = append(t.socket.out, b...)
		return len(b), nil
	}
	for rest := b; len(rest) > 0; {
		n, err := t.retry(func() (int, error) { return unix.Write(t.socket.fd, rest) })
		if err != nil {
			return len(b) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// Close does nothing: the loop closes the socket.
func (t *tlsTransport) Close() error { return nil }

func (t *tlsTransport) LocalAddr() net.Addr              { return nil }
func (t *tlsTransport) RemoteAddr() net.Addr             { return nil }
func (t *tlsTransport) SetDeadline(time.Time) error      { return nil }
func (t *tlsTransport) SetReadDeadline(time.Time) error  { return nil }
func (t *tlsTransport) SetWriteDeadline(time.Time) error { return nil }
