package e2e_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// proxy forwards connections of clients to a service. It can cut them, and hold back what they send.
type proxy struct {
	gate
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	links  map[*link]struct{}
}

// cut is a way to lose a connection.
type cut string

const (
	cutClean   cut = "clean"    // both sides receive an end, as when a proxy is reloaded
	cutReset   cut = "reset"    // both sides receive a reset
	cutMidByte cut = "mid-byte" // a reset after some more bytes, anywhere in an event
	cutServer  cut = "server"   // the server does not notice that its client has disconnected
	cutClient  cut = "client"   // the client receives nothing more, and no reset
)

// noticedCuts are those that a client without a watchdog, such as EventSource, notices.
var noticedCuts = []cut{cutClean, cutReset, cutMidByte, cutServer}

var allCuts = append([]cut{cutClient}, noticedCuts...)

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target, listener: l, links: map[*link]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) url(path string) string { return "http://" + p.listener.Addr().String() + path }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			reset(client)
			continue
		}
		p.join(client.(*net.TCPConn), server.(*net.TCPConn))
	}
}

func (p *proxy) join(client, server *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &link{client: client, server: server, left: -1, gate: &p.gate}
	if p.closed {
		l.reset()
		return
	}
	p.links[l] = struct{}{}
	p.running.Go(func() {
		var up sync.WaitGroup
		up.Go(l.up)
		l.down()
		up.Wait()
		l.reset()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	})
}

// cut cuts all connections, each in one of the given ways.
func (p *proxy) cut(ways ...cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut(ways[rand.IntN(len(ways))])
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.open()
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		l.reset()
	}
	p.mu.Unlock()
	p.running.Wait()
}
