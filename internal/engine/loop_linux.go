package engine

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// loop owns a part of the connections. One goroutine runs it. Other goroutines only append to the lists
// below mu.
//
// Each round of the loop:
//
//  1. attaches the connections that other goroutines have given to it,
//  2. continues after handshakes, and closes the idle connections that must make room,
//  3. dispatches the events of epoll,
//  4. gives each queued connection a turn, which writes the frames of its source,
//  5. handles the deadlines that have passed.
type loop struct {
	engine    *Engine
	lane      int           // its index among the loops
	wakeup    chan struct{} // contains a token if one of the lists below is not empty
	timer     *time.Timer
	conns     map[int32]*conn
	deadlines deadlineHeap
	buf       []byte
	scratch   []byte // for the bytes that a transport has encoded

	mu sync.Mutex
	lists
	spare lists // the previous arrays, for reuse
}

// lists is the work for a round of a loop.
type lists struct {
	given      []*conn
	handshakes []*handshake // that have ended
	evicted    []eviction
	closing    []*engineListener // closed: their idle connections end
	ready      []readiness
	queue      []*conn
}

// empty reports whether there is no work. Then the loop has not been signalled.
func (w *lists) empty() bool {
	return len(w.given)+len(w.handshakes)+len(w.evicted)+len(w.closing)+len(w.ready)+len(w.queue) == 0
}

// reuse returns the arrays without their content.
func (w *lists) reuse() lists {
	clear(w.given)
	clear(w.handshakes)
	clear(w.queue)
	return lists{given: w.given[:0], handshakes: w.handshakes[:0], ready: w.ready[:0], queue: w.queue[:0]}
}

// readiness is an event of epoll. The generation distinguishes a connection from an earlier connection
// with the same descriptor.
type readiness struct {
	fd         int32
	generation uint32
	events     uint32
}

func newLoop(e *Engine) *loop {
	return &loop{
		engine: e, lane: len(e.loops), wakeup: make(chan struct{}, 1), timer: time.NewTimer(time.Hour),
		buf: make([]byte, 0, writeSize+4<<10), scratch: make([]byte, 0, writeSize+4<<10), conns: map[int32]*conn{},
	}
}

// add queues a connection for a turn. The caller has set its flag queued.
func (l *loop) add(c *conn)              { post(l, &l.queue, c) }
func (l *loop) addReadiness(r readiness) { post(l, &l.ready, r) }

// give passes a connection from the calling goroutine to the loop. If the engine is closed, the connection is
// closed.
func (l *loop) give(c *conn) {
	l.engine.mu.RLock()
	defer l.engine.mu.RUnlock()
	if l.engine.closed {
		c.close(ErrClosed)
		return
	}
	post(l, &l.given, c)
}

// post appends to one of the loop's lists. It signals the loop if all lists were empty.
func post[T any](l *loop, list *[]T, x T) {
	l.mu.Lock()
	idle := l.empty()
	*list = append(*list, x)
	l.mu.Unlock()
	if idle {
		l.signal()
	}
}

func (l *loop) signal() {
	select {
	case l.wakeup <- struct{}{}:
	default:
	}
}

func (l *loop) run() {
	defer l.end()
	for {
		select {
		case <-l.engine.done:
			return
		case <-l.wakeup:
		case <-l.timer.C:
		}
		l.round()
	}
}

// round handles the entries of all lists.
func (l *loop) round() {
	l.mu.Lock()
	work := l.lists
	l.lists = l.spare
	l.mu.Unlock()
	for _, c := range work.given {
		c.attach(time.Now())
	}
	for _, h := range work.handshakes {
		h.conn.continueAfterHandshake(h, time.Now())
	}
	for _, e := range work.evicted {
		l.closeEvicted(e)
	}
	for _, f := range work.closing {
		l.closeIdle(f)
	}
	for _, r := range work.ready {
		l.dispatch(r)
	}
	slices.SortFunc(work.queue, byDescriptor)
	for _, c := range work.queue {
		c.turn(time.Now())
	}
	l.spare = work.reuse()
	l.expire(time.Now())
}

// byDescriptor approximates the order of connections in memory, including the kernel's structures. A
// broadcast in this order takes a tenth less time than in random order.
func byDescriptor(a, b *conn) int { return int(a.fd - b.fd) }

// dispatch routes an epoll event to its connection.
func (l *loop) dispatch(r readiness) {
	if c := l.conns[r.fd]; c != nil && c.generation == r.generation {
		c.handleReadiness(r.events)
	}
}

// expire handles the connections whose deadline has passed, and sets the timer for the next deadline.
func (l *loop) expire(now time.Time) {
	at := nanos(now)
	for len(l.deadlines) > 0 && l.deadlines[0].at <= at {
		d := heap.Pop(&l.deadlines).(deadline)
		c := d.conn
		if d.at != c.heapDeadline {
			continue // an outdated entry: the deadline has moved, or another goroutine has the connection
		}
		c.heapDeadline = 0
		if c.deadline > at {
			l.schedule(c)
		} else if c.deadline != 0 {
			c.expired(now)
		}
	}
	next := time.Hour
	if len(l.deadlines) > 0 {
		next = time.Duration(l.deadlines[0].at - at)
	}
	l.timer.Reset(next)
}

// schedule adds the connection's deadline to the heap. If the heap has an earlier deadline of the
// connection, it is kept, and expire schedules the connection again: every write postpones the heartbeat,
// and moving the heap entry each time would be expensive.
func (l *loop) schedule(c *conn) {
	if c.deadline == 0 || c.heapDeadline != 0 && c.heapDeadline <= c.deadline {
		return
	}
	c.heapDeadline = c.deadline
	heap.Push(&l.deadlines, deadline{c.deadline, c})
}

// end closes all connections of the loop, including those still in the lists. The engine adds no more
// at this point.
func (l *loop) end() {
	l.timer.Stop()
	l.mu.Lock()
	work := l.lists
	l.lists = lists{}
	l.mu.Unlock()
	for _, c := range work.given {
		c.close(ErrClosed)
	}
	for _, c := range l.conns {
		if c.state == stateHandshake {
			c.handshake.abandon()
		}
		c.close(ErrClosed)
	}
}

// clockBase is the origin of deadlines. They use the monotonic clock, so that a change of the wall clock
// neither delays a heartbeat nor closes a connection.
var clockBase = time.Now()

// nanos returns the nanoseconds from clockBase to t, and at least 1. t must have a monotonic reading, as
// the result of time.Now has.
func nanos(t time.Time) int64 { return max(1, int64(t.Sub(clockBase))) }

// deadlineNanos returns the nanoseconds from clockBase to a time returned by a source at now. A time without a
// monotonic reading is converted with the clocks of now, because the wall clock may have been set since
// clockBase.
func deadlineNanos(due, now time.Time) int64 { return max(1, nanos(now)+int64(due.Sub(now))) }

// deadline is the time of a check of a connection, in nanoseconds since clockBase.
type deadline struct {
	at   int64
	conn *conn
}

// deadlineHeap implements heap.Interface, the earliest deadline first.
type deadlineHeap []deadline

func (d deadlineHeap) Len() int           { return len(d) }
func (d deadlineHeap) Less(i, j int) bool { return d[i].at < d[j].at }
func (d deadlineHeap) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlineHeap) Push(x any)        { *d = append(*d, x.(deadline)) }

func (d *deadlineHeap) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	(*d)[last] = deadline{}
	*d = (*d)[:last]
	return x
}
