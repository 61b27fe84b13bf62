package transports

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tidemark/tidemark/pkg/sse"
)

// eventStream is SSE as Tidemark sends it: the same headers, a comment as heartbeat, and the position
// after the data.
type eventStream struct {
	blocks  chan []byte // to the handler, which writes and flushes each
	inbox   inbox
	cancel  context.CancelFunc
	reading sync.WaitGroup
}

func newSSE() *eventStream {
	return &eventStream{blocks: make(chan []byte), inbox: make(inbox), cancel: func() {}}
}

func (s *eventStream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", sse.ContentType)
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	block := sse.AppendComment(sse.AppendRetry(nil, 3*time.Second), "")
	for err := error(nil); err == nil; block, err = receive(r.Context(), s.blocks) {
		if _, err := w.Write(block); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
}

// connect starts a reader that lives until close.
func (s *eventStream) connect(ctx context.Context, w *endpoint, h http.Header) error {
	ctx, s.cancel = context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/events", nil)
	if err != nil {
		return err
	}
	req.Header = h
	req.Header.Set("Accept", sse.MediaType)
	req.Header.Set("Cache-Control", "no-cache")
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	s.reading.Go(func() { s.read(ctx, resp) })
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the endpoint answered %s", resp.Status)
	}
	return s.inbox.expect(ctx, nil)
}

func (s *eventStream) read(ctx context.Context, resp *http.Response) {
	defer func() { _ = resp.Body.Close() }()
	decoder := sse.NewDecoder(resp.Body)
	decoder.OnComment = func([]byte) { _ = send(ctx, s.inbox, delivery{heartbeat: true}) }
	for {
		ev, err := decoder.Next()
		if err != nil {
			_ = send(ctx, s.inbox, delivery{err: fmt.Errorf("the response ended: %w", err)})
			return
		}
		ev = ev.Clone()
		if send(ctx, s.inbox, delivery{message: message{ID: string(ev.ID), Data: ev.Data}}) != nil {
			return
		}
	}
}

func (s *eventStream) exchange(ctx context.Context, m *message) error {
	block := sse.AppendComment(nil, "")
	if m != nil {
		block = sse.AppendEvent(nil, sse.Event{Data: m.Data, ID: []byte(m.ID)})
	}
	if err := send(ctx, s.blocks, block); err != nil {
		return err
	}
	return s.inbox.expect(ctx, m)
}

func (s *eventStream) close() {
	s.cancel()
	s.reading.Wait()
}
