package transports

import (
	"context"
	"net/http"
)

// shortPoll asks and is answered at once. An event is fetched by a poll of its own.
type shortPoll struct {
	poller
	stored chan message // what the next poll gets; at most one
}

func newShortPoll() *shortPoll { return &shortPoll{stored: make(chan message, 1)} }

func (s *shortPoll) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	select {
	case m := <-s.stored:
		answer(w, &m)
	default:
		answer(w, nil)
	}
}

func (s *shortPoll) connect(ctx context.Context, w *wire, h http.Header) error {
	s.poller = newPoller(w, h)
	return s.beat(ctx)
}

func (s *shortPoll) beat(ctx context.Context) error {
	return answered(s.ask(ctx)).wantBeat(ctx)
}

func (s *shortPoll) event(ctx context.Context, due message) error {
	if err := hand(ctx, s.stored, due); err != nil {
		return err
	}
	return answered(s.ask(ctx)).want(ctx, due)
}

func (s *shortPoll) close() {}

// answered is an inbox with that in it.
func answered(a arrival) inbox {
	b := make(inbox, 1)
	b <- a
	return b
}
