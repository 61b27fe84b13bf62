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
	answers chan *message // answers of the handler; nil means that there is no event
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

func (l *longPoll) exchange(ctx context.Context, m *message) error {
	if err := send(ctx, l.answers, m); err != nil {
		return err
	}
	if err := l.inbox.expect(ctx, m); err != nil {
		return err
	}
	_, err := receive(ctx, l.pending) // the next request
	return err
}

func (l *longPoll) close() {
	l.cancel()
	l.polling.Wait()
}
