package loadtest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// newEngine returns the engine of this system, epoll.
func newEngine(s *localClients) (engine, error) {
	if s.opts.portable {
		return newHTTPEngine(s)
	}
	to, err := s.serverAddr()
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
	e := &epollEngine{loops: map[*shard]*loop{}}
	for _, sh := range s.shards {
		l, err := newLoop(s, sh, to, sources)
		if err != nil {
			e.close()
			return nil, err
		}
		e.loops[sh] = l
		e.running.Go(l.run)
	}
	return e, nil
}

// serverAddr resolves the host of the server's URL.
func (s *localClients) serverAddr() (netip.AddrPort, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", s.server.Hostname())
	if err != nil {
		return netip.AddrPort{}, err
	}
	port := s.server.Port()
	switch {
	case port == "" && s.server.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	return netip.ParseAddrPort(net.JoinHostPort(addrs[0].Unmap().String(), port))
}

// epollEngine has a loop for each shard.
type epollEngine struct {
	loops   map[*shard]*loop
	running sync.WaitGroup
}

func (e *epollEngine) post(c *client, kind commandKind, flag bool) {
	e.loops[c.shard].post(command{client: c, kind: kind, flag: flag})
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

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}, unix.AF_INET6
}
