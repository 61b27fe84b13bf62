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

var errReconnected = errors.New("the connection was lost: what it cost cannot be told from a new one")

// wire is a reference endpoint's server and the one connection to it.
type wire struct {
	url            string
	client         *http.Client
	near, far      meter // the client's end and the server's
	conn           atomic.Pointer[net.TCPConn]
	server         *http.Server
	cancelHandlers context.CancelFunc
	serving        sync.WaitGroup
}

func listen(ctx context.Context, handler http.Handler) (*wire, error) {
	// Keep-alives of TCP stay off: they would add packets according to the system's settings.
	listener, err := (&net.ListenConfig{KeepAlive: -1, Control: likeEthernet}).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &wire{url: "http://" + listener.Addr().String(), cancelHandlers: cancel}
	w.server = &http.Server{Handler: handler, BaseContext: func(net.Listener) context.Context { return base }} //nolint:gosec // G112: its one client is ours
	w.client = &http.Client{Transport: &http.Transport{DialContext: w.dial, MaxConnsPerHost: 1, DisableCompression: true}}
	w.serving.Go(func() { _ = w.server.Serve(&meteredListener{listener, &w.far}) })
	return w, nil
}

// dial makes the connection, and refuses to make another.
func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{KeepAlive: -1, Control: likeEthernet}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if !w.conn.CompareAndSwap(nil, conn.(*net.TCPConn)) {
		_ = conn.Close()
		return nil, errReconnected
	}
	return &meteredConn{conn, &w.near}, nil
}

// A delayed acknowledgement leaves within 200 ms, the longest that Linux holds one back.
const settle = 250 * time.Millisecond

// settled waits until nothing is under way, and returns what was used until then.
func (w *wire) settled(ctx context.Context) (usage, error) {
	deadline := time.Now().Add(exchangeTimeout)
	for {
		if err := wait(ctx, settle); err != nil {
			return usage{}, err
		}
		if w.agree() {
			return w.used()
		}
		if time.Now().After(deadline) {
			return usage{}, fmt.Errorf("the client counted %v, the server %v", &w.near, &w.far)
		}
	}
}

// agree says whether each end has read what the other wrote.
func (w *wire) agree() bool {
	return w.near.out.Load() == w.far.in.Load() && w.far.out.Load() == w.near.in.Load()
}

func (w *wire) used() (usage, error) {
	segments, counted, err := segments(w.conn.Load())
	return usage{bytes: float64(w.near.in.Load() + w.near.out.Load()), segments: float64(segments), counted: counted}, err
}

// close waits for the handlers. The transport's client has been closed before.
func (w *wire) close() {
	w.cancelHandlers()
	w.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
	defer cancel()
	_ = w.server.Shutdown(ctx)
	_ = w.server.Close()
	w.serving.Wait()
}
