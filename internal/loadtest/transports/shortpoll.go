package transports

import (
	"context"
	"net/http"
)

// shortPoll is answered at once. An event is the answer to a request of its own.
type shortPoll struct {
	poller
	stored chan message // the answer to the next request
}

func newShortPoll() *shortPoll { return &shortPoll{stored: make(chan message, 1)} }

func (s *shortPoll) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	select {
	case m := <-s.stored:
		respond(w, &m)
	default:
		respond(w, nil)
	}
}

func (s *shortPoll) connect(ctx context.Context, w *endpoint, h http.Header) error {
	s.poller = newPoller(w, h)
	return s.exchange(ctx, nil)
}

func (s *shortPoll) exchange(ctx context.Context, m *message) error {
	if m != nil {
		s.stored <- *m
	}
	return s.poll(ctx).check(m)
}

func (s *shortPoll) close() {}
