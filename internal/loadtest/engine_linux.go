package loadtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// newEngine uses epoll for plain HTTP/1.1, and net/http for TLS and HTTP/2.
func newEngine(s *localClients) (engine, error) {
	if s.server.Scheme != "http" || s.opts.HTTP2 {
		return newHTTPEngine(s)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", s.server.Hostname())
	if err != nil {
		return nil, err
	}
	port := s.server.Port()
	if port == "" {
		port = "80"
	}
	to, err := netip.ParseAddrPort(net.JoinHostPort(addrs[0].Unmap().String(), port))
	if err != nil {
		return nil, err
	}
	var sources []netip.Addr
	for _, text := range s.opts.Sources {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Is4() != to.Addr().Is4() {
			return nil, fmt.Errorf("--source %q is not an address that can reach %s", text, to.Addr())
		}
		sources = append(sources, a)
	}
	e := &epollEngine{}
	for _, sh := range s.shards {
		l, err := newLoop(s, sh, to, sources)
		if err != nil {
			e.close()
			return nil, err
		}
		e.loops = append(e.loops, l)
		e.running.Go(l.run)
	}
	return e, nil
}

// epollEngine has a loop for each shard.
type epollEngine struct {
	loops   []*loop
	running sync.WaitGroup
}

func (e *epollEngine) post(c *client, kind commandKind, flag bool) {
	e.loops[c.slot%len(e.loops)].post(command{c, kind, flag})
}

func (e *epollEngine) open(c *client)                   { e.post(c, doOpen, false) }
func (e *epollEngine) disconnect(c *client, reset bool) { e.post(c, doDisconnect, reset) }
func (e *epollEngine) pause(c *client, paused bool)     { e.post(c, doPause, paused) }

func (e *epollEngine) close() {
	for _, l := range e.loops {
		l.post(command{kind: doStop})
	}
	e.running.Wait()
}

type commandKind uint8

const (
	doOpen commandKind = iota
	doDisconnect
	doPause
	doStop
)

type command struct {
	c    *client
	kind commandKind
	flag bool
}

// socket is a loop's state of a connection.
type socket struct {
	fd      int
	sending []byte // the rest of the request; nil once it is sent
	paused  bool
}

// loop owns the sockets of one shard's clients. One goroutine runs it; others post commands.
type loop struct {
	set     *localClients
	shard   *shard
	to      unix.Sockaddr
	family  int
	sources []netip.Addr
	opened  int

	epoll, wake int
	byFD        map[int]*client
	buf         []byte

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
	l := &loop{set: s, shard: sh, sources: sources, epoll: epoll, wake: wake, byFD: map[int]*client{}, buf: make([]byte, 256<<10)}
	l.to, l.family = sockaddr(to)
	return l, l.control(unix.EPOLL_CTL_ADD, wake, unix.EPOLLIN)
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
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
		if c := l.byFD[int(ev.Fd)]; c != nil {
			if err := l.transfer(c, c.conn.(*socket), ev.Events); err != nil {
				l.closeConn(c, false, err)
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
		if cmd.kind == doStop {
			return false
		}
		c := cmd.c
		sock, connected := c.conn.(*socket)
		switch {
		case cmd.kind == doOpen && !connected && c.wantConnected:
			l.open(c)
		case cmd.kind == doDisconnect && connected:
			l.closeConn(c, cmd.flag, errDisconnected)
		case cmd.kind == doPause && connected && sock.sending == nil && sock.paused != cmd.flag:
			sock.paused = cmd.flag
			events := uint32(unix.EPOLLIN)
			if sock.paused {
				events = 0
			}
			if err := l.control(unix.EPOLL_CTL_MOD, sock.fd, events); err != nil {
				l.closeConn(c, false, err)
			}
		}
	}
	return true
}

func (l *loop) open(c *client) {
	fd, err := l.connect()
	if err != nil {
		if fatal := resourceError(err); fatal != err {
			l.set.abort(fatal)
			return
		}
		l.set.clientClosed(c, err)
		return
	}
	c.setConn(&socket{fd: fd, sending: c.request()})
	l.byFD[fd] = c
	if err := l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLOUT|unix.EPOLLIN); err != nil {
		l.closeConn(c, false, err)
	}
}

// connect returns a socket that is being connected.
func (l *loop) connect() (fd int, err error) {
	fd, err = unix.Socket(l.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if len(l.sources) > 0 {
		// The port is chosen at the connect, so that each source has all of them.
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		from, _ := sockaddr(netip.AddrPortFrom(l.sources[l.opened%len(l.sources)], 0))
		err = unix.Bind(fd, from)
	}
	l.opened++
	if err == nil {
		err = unix.Connect(fd, l.to)
	}
	if err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// transfer sends the request, and then reads once: epoll reports again what is left.
func (l *loop) transfer(c *client, sock *socket, events uint32) error {
	if sock.sending != nil && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if err := l.send(sock); err != nil {
			return err
		}
	}
	if sock.sending != nil || events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) == 0 {
		return nil
	}
	n, err := unix.Read(sock.fd, l.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server closed the connection")
	}
	return c.read(l.buf[:n])
}

func (l *loop) send(sock *socket) error {
	if code, err := unix.GetsockoptInt(sock.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		return errors.Join(err, unix.Errno(code))
	}
	n, err := unix.Write(sock.fd, sock.sending)
	if err == unix.EAGAIN || err == unix.ENOTCONN {
		return nil
	}
	if err != nil {
		return err
	}
	if sock.sending = sock.sending[n:]; len(sock.sending) > 0 {
		return nil
	}
	sock.sending = nil
	return l.control(unix.EPOLL_CTL_MOD, sock.fd, unix.EPOLLIN)
}

func (l *loop) closeConn(c *client, reset bool, reason error) {
	sock := c.conn.(*socket)
	delete(l.byFD, sock.fd)
	if reset {
		_ = unix.SetsockoptLinger(sock.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(sock.fd)
	l.set.clientClosed(c, reason)
}

func (l *loop) closeAll() {
	l.shard.mu.Lock()
	defer l.shard.mu.Unlock()
	for _, c := range l.byFD {
		c.wantConnected = false
		l.closeConn(c, false, errDisconnected)
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
