package loadtest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// localClients are the clients of this process.
type localClients struct {
	opts         Options
	part         Partition
	server       *url.URL
	pathTemplate string
	clients      []*client
	shards       []*shard
	engine       engine
	curves       []tls.CurveID
	abort        func(error) // ends the run when the machine lacks a resource

	openSlots                         chan struct{} // a client that is being opened for the first time has one
	opened                            atomic.Int64  // clients that were connected at least once
	connected                         atomic.Int64
	reconnects                        atomic.Int64
	fullHandshakes, resumedHandshakes atomic.Int64
	failures                          atomic.Int64
	firstError                        atomic.Pointer[error]
	target                            atomic.Pointer[target]

	churnContext context.Context
	stopChurn    context.CancelFunc
	churning     sync.WaitGroup

	mu     sync.Mutex
	timers map[*client]*time.Timer // of reconnects; nil once closed
}

const (
	// loops is how many goroutines read. More than the two cores of an ordinary machine would
	// only compete for them.
	loops = 2
	// maxOpening is how many connections of a run are being opened at a time.
	maxOpening = 512
	// openTimeout bounds the opening of all connections, in addition to the ramp.
	openTimeout = 60 * time.Second
)

func newLocalClients(opts Options, part Partition, abort func(error)) (*localClients, error) {
	server, path, err := parseServerURL(opts.URL)
	if err != nil {
		return nil, err
	}
	curves, err := parseCurves(opts.TLSCurves)
	if err != nil {
		return nil, err
	}
	opts.StreamsPerConnection = max(opts.StreamsPerConnection, 1)
	s := &localClients{
		curves: curves, opts: opts, part: part, server: server, pathTemplate: path, abort: abort,
		openSlots: make(chan struct{}, max(maxOpening/part.Of, 1)), timers: map[*client]*time.Timer{},
	}
	s.churnContext, s.stopChurn = context.WithCancel(context.Background())
	for range loops {
		s.shards = append(s.shards, newShard())
	}
	return s, nil
}

func (s *localClients) pids() []int { return nil }

// createClients allocates the clients late: memory before the connections is measured without them.
func (s *localClients) createClients() (err error) {
	for i := s.part.Index; i < s.opts.Conns; i += s.part.Of {
		slot := len(s.clients)
		s.clients = append(s.clients, &client{
			set: s, shard: s.shards[slot/s.opts.StreamsPerConnection%loops], index: i, slot: slot, key: s.opts.key(i), tally: tally{next: 1}, wantConnected: true,
		})
	}
	s.engine, err = newEngine(s)
	return err
}

// key names what a client receives: in the per-user pattern, clients have users in turn.
func (o Options) key(i int) string {
	if o.Pattern == PerUser {
		return "u" + strconv.Itoa(i%o.Users)
	}
	return "all"
}

func (o Options) openLimit() time.Duration { return openTimeout + o.Ramp }

// openAll opens the clients, spread over the ramp and at most maxOpening at a time. One client
// comes first: a server that cannot be reached, or refuses, ends the run at once.
func (s *localClients) openAll(ctx context.Context) (Connects, error) {
	if err := s.createClients(); err != nil {
		return Connects{}, err
	}
	limit := s.opts.openLimit()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not all clients were connected within %v", limit))
	defer cancel()
	start := time.Now()
	for i, c := range s.clients {
		sleepUntil(ctx, start.Add(s.opts.Ramp*time.Duration(c.index)/time.Duration(s.opts.Conns)))
		select {
		case s.openSlots <- struct{}{}:
			s.engine.open(c)
		case <-ctx.Done():
			return Connects{}, s.openError(ctx)
		}
		if i > 0 {
			continue
		}
		if err := waitUntil(ctx, func() bool { return s.opened.Load()+s.failures.Load() > 0 }); err != nil {
			return Connects{}, s.openError(ctx)
		}
		if s.opened.Load() == 0 {
			return Connects{}, fmt.Errorf("cannot connect to %s: %w", s.opts.URL, *s.firstError.Load())
		}
	}
	if err := waitUntil(ctx, func() bool { return s.opened.Load() == int64(len(s.clients)) }); err != nil {
		return Connects{}, s.openError(ctx)
	}
	c := Connects{Opened: int(s.opened.Load()), Failed: int(s.failures.Load())}
	if first := s.firstError.Load(); first != nil {
		c.Error = (*first).Error()
	}
	return c.within(time.Since(start)), nil
}

// waitUntil blocks until done returns true, or ctx ends. It polls, so that the loops need not notify.
func waitUntil(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// openError reports how many clients were connected when ctx ended.
func (s *localClients) openError(ctx context.Context) error {
	err := fmt.Errorf("%w; %d of %d connections are open", context.Cause(ctx), s.connected.Load(), len(s.clients))
	if first := s.firstError.Load(); first != nil {
		return fmt.Errorf("%w; the first failure: %w", err, *first)
	}
	return err
}

// add sums up the connections of several processes.
func (c *Connects) add(o Connects) {
	c.Opened += o.Opened
	c.Failed += o.Failed
	c.Error = cmp.Or(c.Error, o.Error)
}

// within returns c with the time that it took.
func (c Connects) within(took time.Duration) Connects {
	c.Took, c.PerSecond = took, float64(c.Opened)/took.Seconds()
	return c
}

// clientOpened is called when a client has a response; its shard is locked.
func (s *localClients) clientOpened(c *client) {
	c.connected = true
	s.connected.Add(1)
	if c.opened {
		s.reconnects.Add(1)
	} else {
		c.opened = true
		<-s.openSlots // taken when its opening began
		s.opened.Add(1)
	}
	s.checkTarget(c)
}

// clientClosed is called by the engine when a client's connection has ended; its shard is locked.
func (s *localClients) clientClosed(c *client, err error) {
	c.conn = nil
	if c.connected {
		s.connected.Add(-1)
	}
	c.connected = false
	if !errors.Is(err, errDisconnected) {
		wrapped := fmt.Errorf("%s: %w", c.name(), err)
		s.firstError.CompareAndSwap(nil, &wrapped)
		s.failures.Add(1) // after the error: openAll reads it then
	}
	if c.wantConnected {
		s.reopenAfter(c, 50*time.Millisecond+rand.N(250*time.Millisecond))
	}
}

func (s *localClients) reopenAfter(c *client, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timers == nil {
		return
	}
	s.timers[c] = time.AfterFunc(delay, func() {
		s.mu.Lock()
		open := s.timers != nil
		delete(s.timers, c)
		s.mu.Unlock() // before the engine locks the shard, inside of which this lock is taken
		if open {
			s.engine.open(c)
		}
	})
}

func (s *localClients) sample(context.Context) (int, *hdrhistogram.Histogram, error) {
	second := newHistogram()
	for _, sh := range s.shards {
		sh.mu.Lock()
		second.Merge(sh.second)
		sh.second.Reset()
		sh.mu.Unlock()
	}
	return int(s.connected.Load()), second, nil
}

// target is the numbers that the clients of each key are to receive. Each target has its own
// count, so that a client that is counted for an earlier one at the same time does no harm.
type target struct {
	numbers map[string]int
	missing atomic.Int64   // clients that have not reached it
	reached chan time.Time // by the last client
}

func (s *localClients) setTarget(_ context.Context, numbers map[string]int) <-chan time.Time {
	t := &target{numbers: numbers, reached: make(chan time.Time, 1)}
	t.missing.Store(int64(len(s.clients)))
	s.target.Store(t)
	for _, c := range s.clients {
		c.shard.mu.Lock()
		s.checkTarget(c)
		c.shard.mu.Unlock()
	}
	return t.reached
}

// checkTarget counts a client that has reached the target, once.
func (s *localClients) checkTarget(c *client) {
	t := s.target.Load()
	if t == nil || c.reachedTarget == t || c.tally.next-1 < t.numbers[c.key] {
		return
	}
	c.reachedTarget = t
	if t.missing.Add(-1) == 0 {
		t.reached <- time.Now()
	}
}

func (s *localClients) disconnectAll(ctx context.Context) error {
	for _, c := range s.clients {
		s.disconnect(c, true)
	}
	return waitUntil(ctx, func() bool { return s.connected.Load() == 0 })
}

func (s *localClients) reconnectAll(context.Context) error {
	for _, c := range s.clients {
		s.reconnect(c)
	}
	return nil
}

// disconnect keeps a client away until reconnect.
func (s *localClients) disconnect(c *client, reset bool) {
	c.shard.mu.Lock()
	c.wantConnected = false
	c.shard.mu.Unlock()
	s.engine.disconnect(c, reset)
}

func (s *localClients) reconnect(c *client) {
	c.shard.mu.Lock()
	c.wantConnected = true
	c.shard.mu.Unlock()
	s.engine.open(c)
}

// startChurn disrupts random clients until stopChurn.
func (s *localClients) startChurn(_ context.Context, perSecond float64, absence time.Duration) error {
	s.churning.Go(func() {
		tick := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
		defer tick.Stop()
		for {
			select {
			case <-s.churnContext.Done():
				return
			case <-tick.C:
				s.disrupt(s.clients[rand.N(len(s.clients))], absence)
			}
		}
	})
	return nil
}

func (s *localClients) disrupt(c *client, absence time.Duration) {
	switch rand.N(5) {
	case 0: // a lost connection
		s.engine.disconnect(c, false)
	case 1: // a reset
		s.engine.disconnect(c, true)
	case 2: // slow for a while
		s.engine.pause(c, true)
		time.AfterFunc(rand.N(absence), func() { s.engine.pause(c, false) })
	case 3: // slow, and reset with half of a frame read and the rest in the socket
		s.engine.pause(c, true)
		time.AfterFunc(rand.N(absence), func() { s.engine.disconnect(c, true) })
	case 4: // away for a while
		s.disconnect(c, rand.N(2) == 0)
		time.AfterFunc(rand.N(absence), func() { s.reconnect(c) })
	}
}

func (s *localClients) restoreAll(ctx context.Context) error {
	s.stopChurn()
	s.churning.Wait()
	for _, c := range s.clients {
		s.engine.pause(c, false)
	}
	return s.reconnectAll(ctx)
}

// finish closes the connections first: nothing is received while it counts.
func (s *localClients) finish(_ context.Context, published map[string]int) (ClientsResult, error) {
	s.close()
	r := ClientsResult{
		Reconnects: int(s.reconnects.Load()), FullHandshakes: int(s.fullHandshakes.Load()), ResumedHandshakes: int(s.resumedHandshakes.Load()),
		Latency: &histogram{newHistogram()},
	}
	for _, c := range s.clients {
		text := r.Verdict.addClient(c.name(), &c.tally, published[c.key])
		if text != "" && len(r.Violations) < maxViolations {
			r.Violations = append(r.Violations, violation{c.index, text})
		}
	}
	for _, sh := range s.shards {
		r.Latency.Merge(sh.total)
		r.addReceipts(sh.first, sh.last)
		r.Bytes += sh.bytes
	}
	return r, nil
}

func (s *localClients) close() {
	s.stopChurn()
	s.churning.Wait()
	s.mu.Lock()
	for _, t := range s.timers {
		t.Stop()
	}
	s.timers = nil
	s.mu.Unlock()
	if s.engine != nil {
		s.engine.close()
	}
}
