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
//  1. registers new pending connections with epoll,
//  2. dispatches the events of epoll,
//  3. gives each queued connection a turn, which writes the frames of its source,
//  4. handles the deadlines that have passed, and closes pending connections that wait for too long.
type loop struct {
	engine    *Engine
	lane      int           // its index among the loops
	wakeup    chan struct{} // contains a token if one of the lists below is not empty
	timer     *time.Timer
	conns     map[int32]*conn
	deadlines deadlineHeap
	buf       []byte

	pending      map[int32]*pendingConn
	headsChecked time.Time

	mu         sync.Mutex
	queue      []*conn
	ready      []readiness
	newPending []*pendingConn
	spareQueue []*conn // the previous array of queue, for reuse
	spareReady []readiness
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
		engine: e, lane: len(e.loops), wakeup: make(chan struct{}, 1),
		timer: time.NewTimer(time.Hour), buf: make([]byte, 0, writeSize+4<<10),
		conns: map[int32]*conn{}, pending: map[int32]*pendingConn{},
	}
}

// add queues a connection for a turn. The caller has set its queueState.
func (l *loop) add(c *conn)               { post(l, &l.queue, c) }
func (l *loop) addReadiness(r readiness)  { post(l, &l.ready, r) }
func (l *loop) addPending(p *pendingConn) { post(l, &l.newPending, p) }

// post appends to one of the loop's lists. It signals the loop if all lists were empty.
func post[T any](l *loop, list *[]T, x T) {
	l.mu.Lock()
	idle := l.idleLocked()
	*list = append(*list, x)
	l.mu.Unlock()
	if idle {
		l.signal()
	}
}

// idleLocked reports whether all lists are empty. Then the loop has not been signalled.
func (l *loop) idleLocked() bool { return len(l.queue)+len(l.ready)+len(l.newPending) == 0 }

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
	queue, ready, pending := l.queue, l.ready, l.newPending
	l.queue, l.ready, l.newPending = l.spareQueue[:0], l.spareReady[:0], nil
	l.mu.Unlock()
	l.watchPending(pending)
	for _, r := range ready {
		l.dispatch(r)
	}
	slices.SortFunc(queue, byDescriptor)
	for _, c := range queue {
		c.turn(time.Now())
	}
	clear(queue)
	l.spareQueue, l.spareReady = queue, ready
	l.expire(time.Now())
}

// byDescriptor approximates the order of connections in memory, including the kernel's structures. A
// broadcast in this order takes a tenth less time than in random order.
func byDescriptor(a, b *conn) int { return int(a.fd - b.fd) }

// dispatch routes an epoll event to its connection.
func (l *loop) dispatch(r readiness) {
	if c := l.conns[r.fd]; c != nil && c.generation == r.generation {
		c.handleReadiness(r.events)
	} else if p := l.pending[r.fd]; p != nil && p.generation == r.generation {
		l.readHead(p)
	}
}

// expire handles the connections whose deadline has passed, and sets the timer for the next deadline.
func (l *loop) expire(now time.Time) {
	at := nanos(now)
	for len(l.deadlines) > 0 && l.deadlines[0].at <= at {
		d := heap.Pop(&l.deadlines).(deadline)
		c := d.conn
		if c.closed || d.at != c.heapDeadline {
			continue // an outdated entry: the deadline has moved
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
	if len(l.pending) > 0 {
		l.expireHeads(now)
		next = min(next, headCheckInterval)
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
	queue, pending := l.queue, l.newPending
	l.queue, l.newPending = nil, nil
	l.mu.Unlock()
	for _, p := range pending {
		l.closePending(p)
	}
	for _, p := range l.pending {
		l.closePending(p)
	}
	for _, c := range queue {
		c.close(ErrClosed)
	}
	for _, c := range l.conns {
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
