package transports

import (
	"context"
	"net/http"
	"sync"
)

// longPoll holds a request until there is an event, or for a limited time. The client sends the next
// request at once.
type longPoll struct {
	poller
	pending chan struct{} // from the handler: a request is waiting
	answers chan *message // to the handler: its answer; nil is no event
	inbox   inbox
	cancel  context.CancelFunc
	polling sync.WaitGroup
}

func newLongPoll() *longPoll {
	return &longPoll{pending: make(chan struct{}), answers: make(chan *message), inbox: make(inbox), cancel: func() {}}
}

func (l *longPoll) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if send(r.Context(), l.pending, struct{}{}) != nil {
		return
	}
	m, err := receive(r.Context(), l.answers)
	if err != nil {
		return
	}
	respond(w, m)
}

// connect starts a client that polls until close.
func (l *longPoll) connect(ctx context.Context, w *endpoint, h http.Header) error {
	ctx, l.cancel = context.WithCancel(ctx)
	l.poller = newPoller(w, h)
	l.polling.Go(func() {
		for send(ctx, l.inbox, l.poll(ctx)) == nil {
		}
	})
	_, err := receive(ctx, l.pending)
	return err
}

func (l *longPoll) heartbeat(ctx context.Context) error {
	if err := send(ctx, l.answers, nil); err != nil {
		return err
	}
	if err := l.inbox.expectHeartbeat(ctx); err != nil {
		return err
	}
	return l.waitForPoll(ctx)
}

func (l *longPoll) event(ctx context.Context, want message) error {
	if err := send(ctx, l.answers, &want); err != nil {
		return err
	}
	if err := l.inbox.expectEvent(ctx, want); err != nil {
		return err
	}
	return l.waitForPoll(ctx)
}

// waitForPoll waits for the next request of the client.
func (l *longPoll) waitForPoll(ctx context.Context) error {
	_, err := receive(ctx, l.pending)
	return err
}

func (l *longPoll) close() {
	l.cancel()
	l.polling.Wait()
}
