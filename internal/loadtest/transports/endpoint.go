package transports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

var errReconnected = errors.New("the connection was lost: its traffic cannot be separated from that of a new one")

// endpoint is the server of a transport and the one connection to it.
type endpoint struct {
	url                  string
	client               *http.Client
	clientEnd, serverEnd meter // the traffic of both ends of the connection
	conn                 atomic.Pointer[net.TCPConn]
	server               *http.Server
	cancelHandlers       context.CancelFunc
	serving              sync.WaitGroup
}

func listen(ctx context.Context, handler http.Handler) (*endpoint, error) {
	// TCP keep-alives are off: they would add packets according to the system's settings.
	listener, err := (&net.ListenConfig{KeepAlive: -1, Control: setEthernetMSS}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &endpoint{url: "http://" + listener.Addr().String(), cancelHandlers: cancel}
	w.server = &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return base }} //nolint:gosec // G112: it has one client, in this process
	w.client = &http.Client{Transport: &http.Transport{DialContext: w.dial, MaxConnsPerHost: 1, DisableCompression: true}}
	w.serving.Go(func() { _ = w.server.Serve(&meteredListener{listener, &w.serverEnd}) })
	return w, nil
}

// dial makes the connection and refuses to make another.
func (w *endpoint) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{KeepAlive: -1, Control: setEthernetMSS}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if !w.conn.CompareAndSwap(nil, conn.(*net.TCPConn)) {
		_ = conn.Close()
		return nil, errReconnected
	}
	return &meteredConn{conn, &w.clientEnd}, nil
}

// A delayed acknowledgement leaves within 200 ms, the longest that Linux holds one back.
const idleDelay = 250 * time.Millisecond

// waitUntilIdle waits until nothing is in flight, and returns the traffic until then.
func (w *endpoint) waitUntilIdle(ctx context.Context) (usage, error) {
	deadline := time.Now().Add(exchangeTimeout)
	for {
		if err := wait(ctx, idleDelay); err != nil {
			return usage{}, err
		}
		if w.countsMatch() {
			return w.usage()
		}
		if time.Now().After(deadline) {
			return usage{}, fmt.Errorf("the client counted %v, the server %v", &w.clientEnd, &w.serverEnd)
		}
	}
}

// countsMatch reports whether each end has read all bytes of the other.
func (w *endpoint) countsMatch() bool {
	return w.clientEnd.out.Load() == w.serverEnd.in.Load() && w.serverEnd.out.Load() == w.clientEnd.in.Load()
}

func (w *endpoint) usage() (usage, error) {
	segments, counted, err := countSegments(w.conn.Load())
	return usage{bytes: float64(w.clientEnd.in.Load() + w.clientEnd.out.Load()), segments: float64(segments), counted: counted}, err
}

// close waits for the handlers. The client of the transport was closed before.
func (w *endpoint) close() {
	w.cancelHandlers()
	w.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
	defer cancel()
	_ = w.server.Shutdown(ctx)
	_ = w.server.Close()
	w.serving.Wait()
}
