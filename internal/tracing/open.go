package tracing

import (
	"sync"
	"time"
)

// open are the deliveries that are not at their end. Those that take too long are ended: a client
// that has gone, or that does not read, would keep its event open for ever. Options.Rate bounds how
// many there are.
type open struct {
	wait time.Duration
	stop chan struct{}
	ends sync.WaitGroup

	mu     sync.Mutex
	events map[*event]time.Time // since when; nil once closed
}

func newOpen(wait time.Duration) *open {
	o := &open{wait: wait, stop: make(chan struct{}), events: map[*event]time.Time{}}
	o.ends.Go(o.run)
	return o
}

func (o *open) run() {
	look := time.NewTicker(max(o.wait/5, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case <-o.stop:
			return
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
	close(o.stop)
	o.ends.Wait()
	o.endBefore(time.Now())
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = nil
}
