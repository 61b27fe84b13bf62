package transports

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

// webSocket sends each event as one text message, and a ping as heartbeat. It has no compression, like
// the other transports.
type webSocket struct {
	accepted chan *websocket.Conn
	server   *websocket.Conn
	client   *websocket.Conn
	inbox    inbox
	cancel   context.CancelFunc
	reading  sync.WaitGroup
}

func newWebSocket() *webSocket {
	return &webSocket{accepted: make(chan *websocket.Conn), inbox: make(inbox), cancel: func() {}}
}

// ServeHTTP passes the connection to connect; the server no longer owns it.
func (s *webSocket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	if send(r.Context(), s.accepted, conn) != nil {
		_ = conn.CloseNow()
	}
}

// connect starts a reader at each end that lives until close.
func (s *webSocket) connect(ctx context.Context, w *endpoint, h http.Header) error {
	ctx, s.cancel = context.WithCancel(ctx)
	var err error
	s.client, _, err = websocket.Dial(ctx, w.url+"/socket", &websocket.DialOptions{HTTPClient: w.client, HTTPHeader: upgrade(h, w.url)})
	if err != nil {
		return err
	}
	if s.server, err = receive(ctx, s.accepted); err != nil {
		return err
	}
	s.client.SetReadLimit(-1)
	s.server.CloseRead(ctx) // pongs need a reader
	s.reading.Go(func() { s.read(ctx) })
	return nil
}

// upgrade changes a browser's headers to those of a WebSocket request.
func upgrade(h http.Header, origin string) http.Header {
	h.Del("Referer")
	h.Set("Origin", origin)
	h.Set("Pragma", "no-cache")
	h.Set("Cache-Control", "no-cache")
	h.Set("Sec-Fetch-Dest", "websocket")
	h.Set("Sec-Fetch-Mode", "websocket")
	return h
}

func (s *webSocket) read(ctx context.Context) {
	for {
		_, text, err := s.client.Read(ctx)
		if err != nil {
			_ = send(ctx, s.inbox, delivery{err: fmt.Errorf("the socket was closed: %w", err)})
			return
		}
		m, err := decode(text)
		if send(ctx, s.inbox, delivery{message: m, err: err}) != nil {
			return
		}
	}
}

// exchange returns after the event, or after the pong of a ping. A reader that blocks on a surplus event
// does not answer the ping, so that the exchange fails.
func (s *webSocket) exchange(ctx context.Context, m *message) error {
	if m == nil {
		return s.server.Ping(ctx)
	}
	if err := s.server.Write(ctx, websocket.MessageText, m.encode()); err != nil {
		return err
	}
	return s.inbox.expect(ctx, m)
}

// close closes both ends without the closing handshake, which would wait for readers.
func (s *webSocket) close() {
	s.cancel()
	for _, conn := range []*websocket.Conn{s.client, s.server} {
		if conn != nil {
			_ = conn.CloseNow()
		}
	}
	s.reading.Wait()
}
