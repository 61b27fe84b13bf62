package tracing

import (
	"context"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/lifecycle"
)

// openDeliveries contains the deliveries that have not ended. It ends those that exceed a timeout, because a
// client that disconnects or does not read would keep its event open. Options.Rate limits their number.
type openDeliveries struct {
	wait time.Duration
	life *lifecycle.Group

	mu     sync.Mutex
	events map[*event]time.Time // start times; nil once closed
}

func newOpen(wait time.Duration) *openDeliveries {
	o := &openDeliveries{wait: wait, life: lifecycle.New(context.Background()), events: map[*event]time.Time{}}
	o.life.Go(o.run)
	return o
}

func (o *openDeliveries) run(ctx context.Context) error {
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

func (o *openDeliveries) add(e *event, since time.Time) (ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.events == nil {
		return false
	}
	o.events[e] = since
	return true
}

func (o *openDeliveries) remove(e *event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.events, e)
}

func (o *openDeliveries) endBefore(before time.Time) {
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

// close ends all deliveries, and waits for the goroutine.
func (o *openDeliveries) close() {
	_ = o.life.Stop()
	o.endBefore(time.Now())
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = nil
}
