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

// newEngine reads plain HTTP/1.1 with epoll. TLS and HTTP/2 have a goroutine a connection.
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
	sources, err := parseSources(s.opts.Sources, to.Addr())
	if err != nil {
		return nil, err
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

func parseSources(texts []string, to netip.Addr) (sources []netip.Addr, err error) {
	for _, text := range texts {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Is4() != to.Is4() {
			return nil, fmt.Errorf("--source %q is no address that can reach %s", text, to)
		}
		sources = append(sources, a)
	}
	return sources, nil
}

type epollEngine struct {
	loops   []*loop
	running sync.WaitGroup
}

func (e *epollEngine) loop(c *client) *loop { return e.loops[c.slot%len(e.loops)] }

func (e *epollEngine) open(c *client) { e.loop(c).post(command{c: c, do: doOpen}) }
func (e *epollEngine) pause(c *client, yes bool) {
	e.loop(c).post(command{c: c, do: doPause, flag: yes})
}
func (e *epollEngine) disconnect(c *client, abort bool) {
	e.loop(c).post(command{c: c, do: doDisconnect, flag: abort})
}

func (e *epollEngine) close() {
	for _, l := range e.loops {
		l.post(command{do: doStop})
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
	do   commandKind
	flag bool
}

// socket is what a loop keeps of a connection.
type socket struct {
	fd      int
	sending []byte // the rest of the request; nil once it is sent
	paused  bool
}

// loop owns the sockets of one shard's clients. One goroutine runs it; others post commands.
type loop struct {
	set   *localClients
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
	l := &loop{
		set: s, shard: sh, sources: sources, epoll: epoll, wake: wake,
		byFD: map[int]*client{}, buf: make([]byte, 256<<10),
	}
	l.to, l.family = sockaddr(to)
	return l, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(wake)})
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
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
	defer l.shutdown()
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

// round handles one wake-up under the shard's lock.
func (l *loop) handleEvents(events []unix.EpollEvent) (more bool) {
	l.shard.mu.Lock()
	defer l.shard.mu.Unlock()
	l.shard.mark()
	for _, ev := range events {
		if int(ev.Fd) == l.wake {
			if !l.runCommands() {
				return false
			}
			continue
		}
		if c := l.byFD[int(ev.Fd)]; c != nil {
			l.ready(c, ev.Events)
		}
	}
	return true
}

func (l *loop) runCommands() (more bool) {
	var count [8]byte
	_, _ = unix.Read(l.wake, count[:])
	l.mu.Lock()
	commands := l.commands
	l.commands = nil
	l.mu.Unlock()
	for _, cmd := range commands {
		switch cmd.do {
		case doOpen:
			if cmd.c.conn == nil && cmd.c.wantConnected {
				l.open(cmd.c)
			}
		case doDisconnect:
			if cmd.c.conn != nil {
				l.closeConn(cmd.c, cmd.flag, errDisconnected)
			}
		case doPause:
			l.pause(cmd.c, cmd.flag)
		case doStop:
			return false
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
		l.set.ended(c, err)
		return
	}
	c.reset()
	c.conn = &socket{fd: fd, sending: c.request()}
	l.byFD[fd] = c
	ev := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
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

func (l *loop) ready(c *client, events uint32) {
	sock := c.conn.(*socket)
	if sock.sending != nil && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if err := l.send(sock); err != nil {
			l.closeConn(c, false, err)
			return
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLERR|unix.EPOLLHUP) != 0 && sock.sending == nil {
		if err := l.receive(c, sock); err != nil {
			l.closeConn(c, false, err)
		}
	}
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
	return l.setEvents(sock, unix.EPOLLIN)
}

func (l *loop) setEvents(sock *socket, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(sock.fd)}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, sock.fd, &ev)
}

// receive reads once: epoll tells again of what is left.
func (l *loop) receive(c *client, sock *socket) error {
	n, err := unix.Read(sock.fd, l.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server closed the connection")
	}
	return c.consume(l.buf[:n])
}

func (l *loop) pause(c *client, yes bool) {
	sock, ok := c.conn.(*socket)
	if !ok || sock.sending != nil || sock.paused == yes {
		return
	}
	sock.paused = yes
	events := uint32(unix.EPOLLIN)
	if yes {
		events = 0
	}
	if err := l.setEvents(sock, events); err != nil {
		l.closeConn(c, false, err)
	}
}

// drop closes a client's socket and tells the swarm.
func (l *loop) closeConn(c *client, abort bool, why error) {
	sock := c.conn.(*socket)
	c.conn = nil
	delete(l.byFD, sock.fd)
	if abort {
		_ = unix.SetsockoptLinger(sock.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(sock.fd)
	l.set.ended(c, why)
}

func (l *loop) shutdown() {
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

// machineError says what to raise when the machine has no more of something.
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
