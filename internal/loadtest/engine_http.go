package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// httpEngine uses net/http and a goroutine for each connection: for TLS, for HTTP/2, and on
// systems without epoll.
type httpEngine struct {
	set     *localClients
	clients []*http.Client // HTTP/2 shares few sockets among many connections
	conns   sync.WaitGroup
	ctx     context.Context
	end     context.CancelFunc
}

// streamsPerSocket is how many HTTP/2 streams share a socket, below the 250 that Go's servers allow
// and at the 100 that browsers use.
const streamsPerSocket = 100

func newHTTPEngine(s *localClients) (engine, error) {
	e := &httpEngine{set: s}
	e.ctx, e.end = context.WithCancel(context.Background())
	transports := 1
	if s.opts.HTTP2 {
		transports = (len(s.clients) + streamsPerSocket - 1) / streamsPerSocket
	}
	for i := range transports {
		t, err := newTransport(s.opts, i)
		if err != nil {
			return nil, err
		}
		e.clients = append(e.clients, &http.Client{Transport: t})
	}
	return e, nil
}

func newTransport(opts Options, i int) (*http.Transport, error) {
	t := &http.Transport{
		DisableKeepAlives: !opts.HTTP2, DisableCompression: true, Protocols: new(http.Protocols),
		TLSClientConfig: &tls.Config{InsecureSkipVerify: opts.Insecure}, //nolint:gosec // requested with --insecure
	}
	t.Protocols.SetHTTP1(!opts.HTTP2)
	t.Protocols.SetHTTP2(opts.HTTP2)
	t.Protocols.SetUnencryptedHTTP2(opts.HTTP2)
	if len(opts.Sources) > 0 {
		source := opts.Sources[i%len(opts.Sources)]
		ip := net.ParseIP(source)
		if ip == nil {
			return nil, fmt.Errorf("--source %q is not an address", source)
		}
		t.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}).DialContext
	}
	return t, nil
}

// httpConn is a connection of a client.
type httpConn struct {
	end    context.CancelCauseFunc
	mu     sync.Mutex // locked while paused, so that the reader waits
	paused bool
}

// setPaused is called with the shard locked.
func (conn *httpConn) setPaused(paused bool) {
	switch {
	case conn.paused && !paused:
		conn.paused = false
		conn.mu.Unlock()
	case !conn.paused && paused:
		conn.paused = conn.mu.TryLock() // fails while the reader passes
	}
}

func (e *httpEngine) open(c *client) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if c.conn != nil || !c.wantConnected || e.ctx.Err() != nil {
		return
	}
	ctx, end := context.WithCancelCause(e.ctx)
	conn := &httpConn{end: end}
	c.setConn(conn)
	c.response.state = stateBody
	request := c.request()
	e.conns.Go(func() {
		defer end(nil)
		err := e.serve(ctx, c, conn, request)
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		c.shard.mu.Lock()
		defer c.shard.mu.Unlock()
		e.set.clientClosed(c, err)
	})
}

func (e *httpEngine) serve(ctx context.Context, c *client, conn *httpConn, request []byte) error {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil {
		return err
	}
	req.RequestURI, req.URL.Scheme, req.URL.Host = "", e.set.server.Scheme, e.set.server.Host
	resp, err := e.clients[c.slot%len(e.clients)].Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	c.shard.mu.Lock()
	e.set.clientOpened(c)
	c.shard.mu.Unlock()
	buf := make([]byte, 16<<10)
	for {
		n, err := resp.Body.Read(buf)
		conn.mu.Lock()   // waits while paused
		conn.mu.Unlock() //nolint:staticcheck // SA2001: see above
		c.shard.mu.Lock()
		c.shard.setNow()
		if n > 0 {
			_ = c.read(buf[:n])
		}
		c.shard.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// withConn runs do with the shard locked if the client has a connection.
func withConn(c *client, do func(*httpConn)) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if conn, ok := c.conn.(*httpConn); ok {
		do(conn)
	}
}

func (e *httpEngine) disconnect(c *client, _ bool) {
	withConn(c, func(conn *httpConn) {
		conn.setPaused(false)
		conn.end(errDisconnected)
	})
}

func (e *httpEngine) pause(c *client, paused bool) {
	withConn(c, func(conn *httpConn) { conn.setPaused(paused) })
}

func (e *httpEngine) close() {
	for _, c := range e.set.clients {
		e.set.disconnect(c, false)
	}
	e.end()
	e.conns.Wait()
	for _, client := range e.clients {
		client.CloseIdleConnections()
	}
}
