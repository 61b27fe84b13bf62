package loadtest

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

type commandKind uint8

const (
	doOpen commandKind = iota
	doDisconnect
	doPause
	doFinishHandshake // posted by a handshake's goroutine
	doStop
)

type command struct {
	kind   commandKind
	client *client
	flag   bool
	socket *socket // of a handshake, and its result
	err    error
}

// loop owns the sockets of one shard's clients. One goroutine runs it; others post commands.
type loop struct {
	set      *localClients
	shard    *shard
	to       unix.Sockaddr
	family   int
	sources  []netip.Addr
	connects int // begun

	epoll, wake int
	byFD        map[int]*socket // all sockets, also those whose handshake is being aborted
	shares      map[int]*share  // by the slot of the first client
	buf         []byte          // bytes of a socket
	plaintext   []byte          // a TLS record's data
	codec       *headerCodec    // for all HTTP/2 connections of the loop

	queued      []*socket      // wait for a handshake
	handshaking int            // sockets whose handshake runs
	handshakes  sync.WaitGroup // their goroutines

	mu       sync.Mutex
	commands []command
	stopped  bool // wake is closed
}

func newLoop(s *localClients, sh *shard, to netip.AddrPort, sources []netip.Addr) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, resourceError(err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, resourceError(err)
	}
	l := &loop{
		set: s, shard: sh, sources: sources, epoll: epoll, wake: wake, byFD: map[int]*socket{}, shares: map[int]*share{},
		buf: make([]byte, 256<<10), plaintext: make([]byte, 16<<10), codec: newHeaderCodec(),
	}
	l.to, l.family = sockaddr(to)
	return l, l.control(unix.EPOLL_CTL_ADD, wake, unix.EPOLLIN)
}

func (l *loop) control(op, fd int, events uint32) error {
	return unix.EpollCtl(l.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (l *loop) post(c command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commands = append(l.commands, c)
	if len(l.commands) == 1 && !l.stopped {
		_, _ = unix.Write(l.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // the counter cannot overflow
	}
}

func (l *loop) run() {
	events := make([]unix.EpollEvent, 512)
	defer l.closeAll()
	for {
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			l.set.abort(fmt.Errorf("epoll: %w", err))
			return
		}
		if !l.handleEvents(events[:max(n, 0)]) {
			return
		}
	}
}

// handleEvents handles one return of epoll under the shard's lock. It returns false to stop.
func (l *loop) handleEvents(events []unix.EpollEvent) bool {
	l.shard.mu.Lock()
	defer l.shard.mu.Unlock()
	l.shard.setNow()
	for _, ev := range events {
		if int(ev.Fd) == l.wake {
			if !l.runCommands() {
				return false
			}
			continue
		}
		if sock := l.byFD[int(ev.Fd)]; sock != nil {
			if err := l.handleSocket(sock, ev.Events); err != nil {
				l.closeSocket(sock, false, err)
			}
		}
	}
	return true
}

func (l *loop) runCommands() bool {
	var count [8]byte
	_, _ = unix.Read(l.wake, count[:])
	l.mu.Lock()
	commands := l.commands
	l.commands = nil
	l.mu.Unlock()
	for _, cmd := range commands {
		switch cmd.kind {
		case doStop:
			return false
		case doFinishHandshake:
			l.finishHandshake(cmd.socket, cmd.err)
			continue
		}
		c := cmd.client
		sock, connected := c.conn.(*socket)
		switch {
		case cmd.kind == doOpen && !connected && c.wantConnected:
			l.open(c)
		case cmd.kind == doDisconnect && connected:
			l.disconnect(sock, c, cmd.flag)
		case cmd.kind == doPause && connected:
			if err := l.pause(sock, c, cmd.flag); err != nil {
				l.closeSocket(sock, false, err)
			}
		}
	}
	return true
}

// open connects a client: with a request on the socket that it shares, or with a socket of its own.
func (l *loop) open(c *client) {
	sh := l.shareOf(c)
	if sh.socket == nil {
		sock, err := l.connect()
		if err != nil {
			if fatal := resourceError(err); fatal != err {
				l.set.abort(fatal)
				return
			}
			l.set.clientClosed(c, err)
			return
		}
		sock.share, sh.socket = sh, sock
		l.byFD[sock.fd] = sock
		if l.set.opts.HTTP2 {
			sock.http2 = newHTTP2Conn(l.codec, l.set.opts.StreamsPerConnection)
		}
	}
	sock := sh.socket
	c.setConn(sock)
	if err := l.request(sock, c); err != nil {
		l.closeSocket(sock, false, err)
	}
}

// connect returns a socket that is being connected.
func (l *loop) connect() (*socket, error) {
	fd, err := unix.Socket(l.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if len(l.sources) > 0 {
		// The port is chosen at the connect, so that each source has all of them.
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		from, _ := sockaddr(netip.AddrPortFrom(l.sources[l.connects%len(l.sources)], 0))
		err = unix.Bind(fd, from)
	}
	l.connects++
	if err == nil {
		err = unix.Connect(fd, l.to)
	}
	if err == unix.EINPROGRESS {
		err = nil
	}
	if err == nil {
		err = l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLOUT)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, interest: unix.EPOLLOUT}, nil
}

// closeAll ends all handshakes, and closes all sockets.
func (l *loop) closeAll() {
	l.shard.mu.Lock()
	defer l.shard.mu.Unlock()
	for _, sock := range l.byFD {
		for _, c := range sock.clients() {
			c.wantConnected = false
		}
		l.closeSocket(sock, false, errDisconnected)
	}
	l.handshakes.Wait()
	for _, sock := range l.byFD { // those of handshakes
		_ = unix.Close(sock.fd)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	_ = unix.Close(l.wake)
	_ = unix.Close(l.epoll)
}

// resourceError names the limit to raise when the machine has no more of a resource. It returns
// other errors unchanged.
func resourceError(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w: raise the limit of open files (ulimit -n), lower --conns, or share them among more processes (--workers)", err)
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: raise fs.file-max", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no local port is left; give more addresses with --source, such as 127.0.0.2, or widen net.ipv4.ip_local_port_range", err)
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("%w: the kernel has no memory for more sockets; lower --conns, or raise net.ipv4.tcp_mem", err)
	}
	return err
}
