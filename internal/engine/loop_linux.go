package engine

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// loop owns a part of the connections. One goroutine runs it; others add, wake and tell.
type loop struct {
	engine *Engine
	lane   int           // its place among the loops
	wakeup chan struct{} // holds a token when one of the lists below has something
	timer  *time.Timer
	conns  map[int32]*conn
	deadlines    deadlineHeap
	buf    []byte

	pending map[int32]*pendingConn
	headsChecked  time.Time

	mu       sync.Mutex
	queue    []*conn
	ready []readiness
	newPending  []*pendingConn
	spareQueue    []*conn // what queue was before
	spareReady     []readiness
}

// happening is a word of epoll. The generation tells a connection from an earlier one that had
// the same descriptor.
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

// add queues a connection for a turn. It is queued in its own eyes already.
func (l *loop) add(c *conn)       { post(l, &l.queue, c) }
func (l *loop) addReadiness(h readiness)  { post(l, &l.ready, h) }
func (l *loop) addPending(a *pendingConn) { post(l, &l.newPending, a) }

// post appends to one of the loop's lists, and wakes the loop if nothing waited before.
func post[T any](l *loop, list *[]T, x T) {
	l.mu.Lock()
	idle := l.idleLocked()
	*list = append(*list, x)
	l.mu.Unlock()
	if idle {
		l.signal()
	}
}

// idleLocked reports that nothing waits, and so that nobody has signalled.
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

// round gives each connection that has something a turn.
func (l *loop) round() {
	l.mu.Lock()
	queue, happened, arrived := l.queue, l.ready, l.newPending
	l.queue, l.ready, l.newPending = l.spareQueue[:0], l.spareReady[:0], nil
	l.mu.Unlock()
	l.watchPending(arrived)
	for _, h := range happened {
		l.dispatch(h)
	}
	slices.SortFunc(queue, byDescriptor)
	for _, c := range queue {
		c.turn(time.Now())
	}
	clear(queue)
	l.spareQueue, l.spareReady = queue, happened
	l.expire(time.Now())
}

// byDescriptor is about the order in which connections lie in memory, the kernel's part of them
// too: a broadcast that walks through them costs a tenth less than one that jumps about.
func byDescriptor(a, b *conn) int { return int(a.fd - b.fd) }

// heed passes a word of epoll on to whom it is about.
func (l *loop) dispatch(h readiness) {
	if c := l.conns[h.fd]; c != nil && c.generation == h.generation {
		c.handleReadiness(h.events)
	} else if a := l.pending[h.fd]; a != nil && a.generation == h.generation {
		l.readHead(a)
	}
}

// expire gives a turn to the connections whose time has come, and sets the timer for the next.
func (l *loop) expire(now time.Time) {
	at := nanos(now)
	for len(l.deadlines) > 0 && l.deadlines[0].at <= at {
		d := heap.Pop(&l.deadlines).(deadline)
		c := d.conn
		if c.closed || d.at != c.heapDeadline {
			continue // it was put off, or brought forward
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

// schedule makes sure that a connection is looked at when it is due. One that is put off stays
// where it is in the heap: with each write a heartbeat is put off.
func (l *loop) schedule(c *conn) {
	if c.deadline == 0 || c.heapDeadline != 0 && c.heapDeadline <= c.deadline {
		return
	}
	c.heapDeadline = c.deadline
	heap.Push(&l.deadlines, deadline{c.deadline, c})
}

// end closes what is left. Whoever is added now is told, too: the engine adds no more.
func (l *loop) end() {
	l.timer.Stop()
	l.mu.Lock()
	queue, arrived := l.queue, l.newPending
	l.queue, l.newPending = nil, nil
	l.mu.Unlock()
	for _, a := range arrived {
		l.closePending(a)
	}
	for _, a := range l.pending {
		l.closePending(a)
	}
	for _, c := range queue {
		c.close(ErrClosed)
	}
	for _, c := range l.conns {
		c.close(ErrClosed)
	}
}

// clockBase is what due times are counted from, by the monotonic clock: setting the wall clock
// neither delays a heartbeat nor ends a stream.
var clockBase = time.Now()

// nanos counts a time with a monotonic reading, as time.Now returns it. It is never 0.
func nanos(t time.Time) int64 { return max(1, int64(t.Sub(clockBase))) }

// dueNanos counts a time that a source returned at now. One without a monotonic reading is
// converted with the clocks of now, not with those of clockBase: the wall clock may have been set
// in between.
func deadlineNanos(due, now time.Time) int64 { return max(1, nanos(now)+int64(due.Sub(now))) }

// due is when a connection is to be looked at, in nanoseconds since clockBase.
type deadline struct {
	at   int64
	conn *conn
}

// dues implements heap.Interface, the earliest first.
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
