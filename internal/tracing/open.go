package tracing

import (
	"context"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/lifecycle"
)

// open are the deliveries that have not ended. A delivery that takes too long is ended: a client that
// disconnected, or does not read, would keep its event open without a limit. Options.Rate bounds how
// many there are.
type open struct {
	wait time.Duration
	life *lifecycle.Group

	mu     sync.Mutex
	events map[*event]time.Time // since when; nil once closed
}

func newOpen(wait time.Duration) *open {
	o := &open{wait: wait, life: lifecycle.New(context.Background()), events: map[*event]time.Time{}}
	o.life.Go(o.run)
	return o
}

func (o *open) run(ctx context.Context) error {
	look := time.NewTicker(max(o.wait/5, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-look.C:
			o.endBefore(now.Add(-o.wait))
		}
	}
}

func (o *open) add(e *event, since time.Time) (ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.events == nil {
		return false
	}
	o.events[e] = since
	return true
}

func (o *open) remove(e *event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.events, e)
}

func (o *open) endBefore(before time.Time) {
	o.mu.Lock()
	var late []*event
	for e, since := range o.events {
		if !since.After(before) {
			late = append(late, e)
		}
	}
	o.mu.Unlock()
	for _, e := range late {
		e.finish(time.Now())
	}
}

// close ends all that are left, and waits for the goroutine.
func (o *open) close() {
	_ = o.life.Stop()
	o.endBefore(time.Now())
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = nil
}
