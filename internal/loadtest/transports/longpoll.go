package transports

import (
	"context"
	"net/http"
	"sync"
)

// longPoll holds a request until there is an event or the hold is over. The client asks again
// at once.
type longPoll struct {
	poller
	held    chan struct{} // from the handler: a request is held
	answers chan *message // to the handler: what to answer it with
	inbox   inbox
	cancel  context.CancelFunc
	asking  sync.WaitGroup
}

func newLongPoll() *longPoll {
	return &longPoll{held: make(chan struct{}), answers: make(chan *message), inbox: make(inbox), cancel: func() {}}
}

func (l *longPoll) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if hand(r.Context(), l.held, struct{}{}) != nil {
		return
	}
	m, err := take(r.Context(), l.answers)
	if err != nil {
		return
	}
	answer(w, m)
}

// connect starts a client that asks until close.
func (l *longPoll) connect(ctx context.Context, w *wire, h http.Header) error {
	ctx, l.cancel = context.WithCancel(ctx)
	l.poller = newPoller(w, h)
	l.asking.Go(func() {
		for l.inbox.put(ctx, l.ask(ctx)) {
		}
	})
	_, err := take(ctx, l.held)
	return err
}

func (l *longPoll) beat(ctx context.Context) error {
	if err := hand(ctx, l.answers, nil); err != nil {
		return err
	}
	if err := l.inbox.wantBeat(ctx); err != nil {
		return err
	}
	return l.asked(ctx)
}

func (l *longPoll) event(ctx context.Context, due message) error {
	if err := hand(ctx, l.answers, &due); err != nil {
		return err
	}
	if err := l.inbox.want(ctx, due); err != nil {
		return err
	}
	return l.asked(ctx)
}

// asked waits until the client has asked again.
func (l *longPoll) asked(ctx context.Context) error {
	_, err := take(ctx, l.held)
	return err
}

func (l *longPoll) close() {
	l.cancel()
	l.asking.Wait()
}
