package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// httpEngine uses net/http and goroutines for each connection. It is for systems without epoll.
// net/http keeps the socket of a canceled HTTP/2 request, so that a client reconnects on the same one.
type httpEngine struct {
	set     *localClients
	clients []*http.Client // for each HTTP/2 connection or TLS session, or a single one for all clients
	conns   sync.WaitGroup
	ctx     context.Context
	end     context.CancelFunc
}

func newHTTPEngine(s *localClients) (engine, error) {
	e := &httpEngine{set: s}
	e.ctx, e.end = context.WithCancel(context.Background())
	transports := 1
	if s.opts.HTTP2 || s.server.Scheme == "https" {
		transports = divideUp(len(s.clients), s.opts.StreamsPerConnection)
	}
	for i := range transports {
		t, err := s.newTransport(i)
		if err != nil {
			return nil, err
		}
		e.clients = append(e.clients, &http.Client{Transport: t})
	}
	return e, nil
}

func (s *localClients) newTransport(i int) (*http.Transport, error) {
	opts := s.opts
	t := &http.Transport{
		DisableKeepAlives: !opts.HTTP2 && opts.Form != FormJSON, MaxIdleConnsPerHost: len(s.clients), DisableCompression: true, Protocols: new(http.Protocols),
		TLSClientConfig: s.tlsConfig(),
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

// serve sends the requests of a connection and reads the responses.
func (e *httpEngine) serve(ctx context.Context, c *client, conn *httpConn, request []byte) error {
	for {
		if err := e.exchange(ctx, c, conn, request); err != io.EOF {
			return err
		}
		c.shard.mu.Lock()
		err := c.responseEnded()
		request = c.request()
		c.shard.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// exchange sends a request and reads the response. It returns io.EOF at the end of the response.
func (e *httpEngine) exchange(ctx context.Context, c *client, conn *httpConn, request []byte) error {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
	if err != nil {
		return err
	}
	req.RequestURI, req.URL.Scheme, req.URL.Host = "", e.set.server.Scheme, e.set.server.Host
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{TLSHandshakeDone: func(state tls.ConnectionState, err error) {
		if err == nil {
			e.set.countHandshake(state)
		}
	}})
	resp, err := e.clients[c.slot/e.set.opts.StreamsPerConnection%len(e.clients)].Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	c.shard.mu.Lock()
	c.responseStarted()
	c.shard.mu.Unlock()
	buf := make([]byte, 16<<10)
	for {
		n, err := resp.Body.Read(buf)
		conn.mu.Lock()   // waits while paused
		conn.mu.Unlock() //nolint:staticcheck // SA2001: see above
		c.shard.mu.Lock()
		c.shard.setNow()
		if n > 0 {
			c.shard.bytes += int64(n)
			c.readBody(buf[:n])
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
