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
	return s.heartbeat(ctx)
}

func (s *shortPoll) heartbeat(ctx context.Context) error {
	return singleDelivery(s.poll(ctx)).expectHeartbeat(ctx)
}

func (s *shortPoll) event(ctx context.Context, want message) error {
	if err := send(ctx, s.stored, want); err != nil {
		return err
	}
	return singleDelivery(s.poll(ctx)).expectEvent(ctx, want)
}

func (s *shortPoll) close() {}

// singleDelivery returns an inbox that has the delivery.
func singleDelivery(a delivery) inbox {
	b := make(inbox, 1)
	b <- a
	return b
}
