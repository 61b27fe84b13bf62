package feed

import (
	"cmp"
	"container/list"
	"context"
	"sync"
)

// DefaultReplayBytes is the default size of a ReplayBudget. A NATS server disconnects a
// client with more than 64 MB waiting to be sent; half of that leaves room for all else.
const DefaultReplayBytes = 32 << 20

// ReplayBudget bounds the memory of replays. It counts the bytes that they have requested from their
// streams, or have read and not sent. The feeds of a node share one, as they share the node's memory and its connection to NATS.
// Replays that it has no room for wait in a queue, first come, first served.
//
// It is safe for concurrent use. It counts bytes alone and has no notion of streams and sockets.
type ReplayBudget struct {
	size int

	mu        sync.Mutex
	used      int
	queue     list.List // of *budgetWaiter
	suspended uint64
}

type budgetWaiter struct {
	bytes   int
	granted chan struct{} // closed under mu
}

// NewReplayBudget returns a budget of size bytes; DefaultReplayBytes when zero.
func NewReplayBudget(size int) *ReplayBudget {
	return &ReplayBudget{size: cmp.Or(max(size, 0), DefaultReplayBytes)}
}

// ReplayBudgetStatus is a budget at one moment.
type ReplayBudgetStatus struct {
	Limit, Used int    // bytes; Used exceeds Limit while events are larger than the bytes requested for them
	Waiting     int    // replays in the queue
	Suspended   uint64 // times that a replay gave its bytes back because its client did not read
}

// Status does not block.
func (b *ReplayBudget) Status() ReplayBudgetStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return ReplayBudgetStatus{Limit: b.size, Used: b.used, Waiting: b.queue.Len(), Suspended: b.suspended}
}

// acquire blocks until n bytes are free and the replays before it have theirs, or ctx ends. More than
// the whole budget is granted when nothing else is in use. It returns how many bytes it counted.
func (b *ReplayBudget) acquire(ctx context.Context, n int) (int, error) {
	n = min(n, b.size)
	b.mu.Lock()
	if b.queue.Len() == 0 && b.used+n <= b.size {
		b.used += n
		b.mu.Unlock()
		return n, nil
	}
	w := &budgetWaiter{bytes: n, granted: make(chan struct{})}
	place := b.queue.PushBack(w)
	b.mu.Unlock()
	select {
	case <-w.granted:
		return n, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.granted: // at the same moment
		b.used -= n
	default:
		b.queue.Remove(place)
	}
	b.grantLocked()
	return 0, context.Cause(ctx)
}

// tryAcquire takes n bytes if they are free and no replay waits.
func (b *ReplayBudget) tryAcquire(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.Len() > 0 || b.used+n > b.size {
		return false
	}
	b.used += n
	return true
}

// adjust adds n bytes, without waiting, or gives them back where n is negative.
func (b *ReplayBudget) adjust(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += n
	b.grantLocked()
}

func (b *ReplayBudget) countSuspended() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.suspended++
}

// grantLocked serves the queue in its order: replays that need few bytes do not overtake a replay that
// needs many.
func (b *ReplayBudget) grantLocked() {
	for first := b.queue.Front(); first != nil; first = b.queue.Front() {
		w := first.Value.(*budgetWaiter)
		if b.used+w.bytes > b.size {
			return
		}
		b.used += w.bytes
		b.queue.Remove(first)
		close(w.granted)
	}
}
