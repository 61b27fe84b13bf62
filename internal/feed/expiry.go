package feed

import (
	"container/heap"
	"slices"
	"sync/atomic"
	"time"
)

// An event that has expired must not be sent, and the stream is compared only once a second. So
// the window removes expired events by itself, at the time of the stream's clock: before
// frames are read from it, and before pending frames are sent.

// streamClock estimates the clock of the stream's leader, by which events are stored and expire.
// The node's own clock may differ. The estimate runs on the monotonic clock and is never ahead of
// the leader, but for steps of the leader's clock: an event is not dropped before its time.
type streamClock struct{ offset atomic.Int64 } // nanoseconds; 0 while it is not known

var clockBase = time.Now()

// set records the leader's time of an answer that was received just now.
func (c *streamClock) set(leader time.Time) {
	if !leader.IsZero() {
		c.offset.Store(leader.UnixNano() - int64(time.Since(clockBase)))
	}
}

// now is in nanoseconds since 1970.
func (c *streamClock) now() (ns int64, ok bool) {
	offset := c.offset.Load()
	return offset + int64(time.Since(clockBase)), offset != 0
}

// expiry is when an event expires.
type expiry struct {
	at  int64
	seq uint64
}

// expiries is a heap, the next one first. It holds no frames, so that it may be behind the window.
type expiries []expiry

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at < e[j].at }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiry)) }
func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// addExpiry keeps the heap within twice the window: an event may live for much longer than its
// frame.
func (w *window) addExpiry(f *Frame) {
	if len(w.expiries) > 2*w.frames.len()+16 {
		w.expiries = slices.DeleteFunc(w.expiries, func(e expiry) bool { return !w.frames.has(e.seq) })
		heap.Init(&w.expiries)
	}
	heap.Push(&w.expiries, expiry{f.expires, f.Seq})
}

// nextExpiry is when the next frame expires; 0 for never.
func (w *window) nextExpiry() (at int64) {
	if w.limits.maxAge > 0 && w.frames.len() > 0 {
		at = w.frames.at(0).stored + int64(w.limits.maxAge)
	}
	if len(w.expiries) > 0 && (at == 0 || w.expiries[0].at < at) {
		at = w.expiries[0].at
	}
	return at
}

// expire removes the events that have expired by now. It returns the events that were removed by their own
// lifetime.
func (w *window) expire(now int64) (lifetimes []expiry, n int) {
	n = w.trimAge(now)
	for len(w.expiries) > 0 && w.expiries[0].at <= now {
		if e := heap.Pop(&w.expiries).(expiry); e.seq > w.low {
			lifetimes = append(lifetimes, e)
		}
	}
	seqs := make([]uint64, len(lifetimes))
	for i, e := range lifetimes {
		seqs[i] = e.seq
	}
	slices.Sort(seqs)
	return lifetimes, n + w.remove(seqs)
}

// expireDue removes the events that have expired. Most feeds have none that expires soon: then it costs one
// atomic load.
func (f *Feed) expireDue() {
	next := f.nextExpiry.Load()
	if next == 0 {
		return
	}
	if now, ok := f.clock.now(); ok && now >= next {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.expireLocked()
	}
}

func (f *Feed) expireLocked() {
	if now, ok := f.clock.now(); ok {
		lifetimes, n := f.window.expire(now)
		f.ledger.expire(lifetimes, now)
		f.removedLocked(RemovedExpired, n)
	}
	f.nextExpiry.Store(f.window.nextExpiry())
}

// removedLocked counts frames that were removed, and lets subscriptions look for them among those
// that they still have to send.
func (f *Feed) removedLocked(why Removal, n int) {
	if n > 0 {
		f.removed[why].Add(uint64(n))
		f.removals.Add(1)
	}
}
