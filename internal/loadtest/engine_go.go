package loadtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
)

// goEngine has a goroutine a connection, through net/http: for TLS, for HTTP/2, and where
// there is no epoll.
type httpEngine struct {
	set   *localClients
	clients []*http.Client // HTTP/2 shares few connections among many streams
	streams sync.WaitGroup
	ctx     context.Context
	end     context.CancelFunc
}

// streamsPerConn is how many HTTP/2 streams share a connection, below the 250 that Go's
// servers take and the 100 that browsers keep to.
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
		TLSClientConfig: &tls.Config{InsecureSkipVerify: opts.Insecure}, //nolint:gosec // asked for with --insecure
	}
	t.Protocols.SetHTTP1(!opts.HTTP2)
	t.Protocols.SetHTTP2(opts.HTTP2)
	t.Protocols.SetUnencryptedHTTP2(opts.HTTP2)
	if len(opts.Sources) > 0 {
		ip := net.ParseIP(opts.Sources[i%len(opts.Sources)])
		if ip == nil {
			return nil, fmt.Errorf("--source %q is no address", opts.Sources[i%len(opts.Sources)])
		}
		t.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: ip}}).DialContext
	}
	return t, nil
}

// stream is one connection of a client.
type httpConn struct {
	end    context.CancelCauseFunc
	mu     sync.Mutex // held while paused, so that the reader waits
	paused bool
}

// await blocks while the stream is paused.
func (st *httpConn) waitWhilePaused() {
	st.mu.Lock()
	defer st.mu.Unlock()
}

func (e *httpEngine) open(c *client) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if c.conn != nil || !c.wantConnected || e.ctx.Err() != nil {
		return
	}
	ctx, end := context.WithCancelCause(e.ctx)
	st := &httpConn{end: end}
	c.conn = st
	c.reset()
	c.response.phase = phaseBody
	req, err := e.request(ctx, c)
	e.streams.Go(func() {
		defer end(nil)
		if err == nil {
			err = e.read(c, st, req)
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		c.shard.mu.Lock()
		defer c.shard.mu.Unlock()
		c.conn = nil
		e.set.ended(c, err)
	})
}

func (e *httpEngine) request(ctx context.Context, c *client) (*http.Request, error) {
	t := e.set.server
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.Scheme+"://"+t.Host+c.path(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	for _, h := range e.set.opts.Headers {
		name, value, _ := strings.Cut(expandUser(h, c.key), ":")
		req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if len(c.lastID) > 0 {
		req.Header.Set("Last-Event-ID", string(c.lastID))
	}
	return req, nil
}

func (e *httpEngine) read(c *client, st *httpConn, req *http.Request) error {
	resp, err := e.clients[c.slot%len(e.clients)].Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered %s", resp.Status)
	}
	c.shard.mu.Lock()
	e.set.opened(c)
	c.shard.mu.Unlock()
	buf := make([]byte, 16<<10)
	for {
		n, err := resp.Body.Read(buf)
		st.waitWhilePaused()
		c.shard.mu.Lock()
		c.shard.mark()
		if n > 0 {
			_ = c.consume(buf[:n])
		}
		c.shard.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (e *httpEngine) disconnect(c *client, _ bool) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	if st, ok := c.conn.(*httpConn); ok {
		e.unpause(st)
		st.end(errDisconnected)
	}
}

func (e *httpEngine) pause(c *client, yes bool) {
	c.shard.mu.Lock()
	defer c.shard.mu.Unlock()
	st, ok := c.conn.(*httpConn)
	if !ok {
		return
	}
	if !yes {
		e.unpause(st)
	} else if !st.paused && st.mu.TryLock() {
		st.paused = true
	}
}

func (e *httpEngine) unpause(st *httpConn) {
	if st.paused {
		st.paused = false
		st.mu.Unlock()
	}
}

func (e *httpEngine) close() {
	for _, c := range e.set.clients {
		c.shard.mu.Lock()
		c.wantConnected = false
		c.shard.mu.Unlock()
		e.disconnect(c, false)
	}
	e.end()
	e.streams.Wait()
	for _, client := range e.clients {
		client.CloseIdleConnections()
	}
}
