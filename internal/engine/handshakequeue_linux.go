package engine

import (
	"container/list"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/netaddr"
)

// Limits of handshakes. A running handshake has a goroutine and some 25 KB of memory. It computes only while it holds
// one of as many slots as there are CPUs, and so waits for its client without a slot. A waiting one costs the bytes of
// its ClientHello.
const (
	maxRunning           = 2048
	maxRunningPerAddress = 256
	maxWaiting           = 16 << 10
	maxWaitingPerAddress = 8 << 10
)

// A running handshake whose client has sent nothing for stalledAfter is ended in favour of a waiting one, if maxRunning
// is reached. The check is repeated every stallCheck.
const (
	stalledAfter = time.Second
	stallCheck   = 250 * time.Millisecond
)

// handshakes limits the TLS handshakes of an engine. Addresses get their turn one after the other, so that one
// with many handshakes does not delay the others.
type handshakes struct {
	slots chan struct{}
	limit int // maxRunning, or less in tests

	mu        sync.Mutex
	addresses map[netip.Prefix]*handshakeAddress
	next      []*handshakeAddress // that have a waiting handshake and may run it
	running   list.List           // of *handshake, the earliest first
	checking  bool                // a timer for evictStalled is set
	counts    HandshakeStatus
}

// handshakeAddress is an address with handshakes, as limits of sockets define it.
type handshakeAddress struct {
	prefix   netip.Prefix
	running  int
	waiting  list.List // of *handshake
	isNext   bool      // in handshakes.next
	isExempt bool      // from the limits of an address
}

// place is the place of a handshake in the queue. Guarded by handshakes.mu.
type place struct {
	address *handshakeAddress
	waiting *list.Element // in address.waiting; nil while it runs
	running *list.Element // in handshakes.running; nil while it waits
}

func newHandshakes() *handshakes {
	return &handshakes{
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), limit: maxRunning, addresses: map[netip.Prefix]*handshakeAddress{},
	}
}

// Handshakes returns the counts of TLS handshakes.
func (e *Engine) Handshakes() HandshakeStatus {
	if e == nil {
		return HandshakeStatus{}
	}
	e.handshakes.mu.Lock()
	defer e.handshakes.mu.Unlock()
	return e.handshakes.counts
}

// add queues a handshake. It returns false if too many are waiting.
func (q *handshakes) add(h *handshake, exempt bool) bool {
	prefix := netaddr.LimitPrefix(h.from.Addr())
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.addresses[prefix]
	if a == nil {
		a = &handshakeAddress{prefix: prefix, isExempt: exempt}
		q.addresses[prefix] = a
	}
	if q.counts.Waiting >= maxWaiting || !exempt && a.waiting.Len() >= maxWaitingPerAddress {
		q.counts.Rejected++
		q.removeLocked(a)
		return false
	}
	q.counts.Waiting++
	h.place = place{address: a, waiting: a.waiting.PushBack(h)}
	q.offerLocked(a)
	return true
}

// offerLocked makes an address the last of those to run next, if it has a waiting handshake and may run it.
func (q *handshakes) offerLocked(a *handshakeAddress) {
	if !a.isNext && a.waiting.Len() > 0 && (a.isExempt || a.running < maxRunningPerAddress) {
		a.isNext = true
		q.next = append(q.next, a)
	}
}

func (q *handshakes) removeLocked(a *handshakeAddress) {
	if a.running == 0 && a.waiting.Len() == 0 && !a.isNext {
		delete(q.addresses, a.prefix)
	}
}

// start runs waiting handshakes while there is room.
func (q *handshakes) start() {
	for {
		h := q.take()
		if h == nil {
			return
		}
		h.engine.startWorker(h)
	}
}

// take removes the next handshake from the queue; nil if none may run.
func (q *handshakes) take() *handshake {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.next) > 0 {
		if q.counts.Running >= q.limit {
			q.checkStalledLocked()
			return nil
		}
		a := q.next[0]
		q.next[0] = nil
		q.next = q.next[1:]
		a.isNext = false
		if a.waiting.Len() == 0 {
			q.removeLocked(a)
			continue
		}
		h := a.waiting.Remove(a.waiting.Front()).(*handshake)
		h.place.waiting, h.place.running = nil, q.running.PushBack(h)
		a.running++
		q.counts.Waiting--
		q.counts.Running++
		q.offerLocked(a)
		return h
	}
	return nil
}

// checkStalledLocked sets the timer for evictStalled, unless it is set.
func (q *handshakes) checkStalledLocked() {
	if !q.checking {
		q.checking = true
		time.AfterFunc(stallCheck, q.evictStalled)
	}
}

// evictStalled ends stalled handshakes, at most one for each that waits, while maxRunning is reached. Their ends start
// others.
func (q *handshakes) evictStalled() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.checking = false
	if q.counts.Running < q.limit || len(q.next) == 0 {
		return
	}
	stalled := nanos(time.Now()) - int64(stalledAfter)
	left := q.counts.Waiting
	for e := q.running.Front(); e != nil && left > 0; e = e.Next() {
		if h := e.Value.(*handshake); h.waitsSince.Load() != 0 && h.waitsSince.Load() < stalled {
			h.abort()
			left--
		}
	}
	q.checkStalledLocked()
}

// withdraw removes a handshake from the queue, and counts it as failed. It returns false if the handshake runs.
func (q *handshakes) withdraw(h *handshake) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if h.place.waiting == nil {
		return false
	}
	h.place.address.waiting.Remove(h.place.waiting)
	h.place.waiting = nil
	q.counts.Waiting--
	q.counts.Failed++
	q.removeLocked(h.place.address)
	return true
}

// done counts the end of a running handshake, and starts others.
func (q *handshakes) done(h *handshake) {
	q.mu.Lock()
	a := h.place.address
	q.running.Remove(h.place.running)
	a.running--
	q.counts.Running--
	switch {
	case h.err != nil:
		q.counts.Failed++
	case h.secure.tls.ConnectionState().DidResume:
		q.counts.Resumed++
	default:
		q.counts.Full++
	}
	q.offerLocked(a)
	q.removeLocked(a)
	q.mu.Unlock()
	q.start()
}
