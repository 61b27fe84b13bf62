package loadgen

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/hex"
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

// conn is an engine's hold on a client's socket.
type conn any

// engine makes and ends connections. Its methods return at once; what comes of them is told
// to the swarm.
type engine interface {
	// open connects a client that has no socket.
	open(c *client)
	// cut ends a client's connection. With abort the peer sees a reset.
	cut(c *client, abort bool)
	// pause stops reading, and with false goes on: a client that is slow.
	pause(c *client, paused bool)
	// close ends everything and waits for it.
	close()
}

// swarm is all clients of a run.
type swarm struct {
	opts         Options
	target       *url.URL
	pathTemplate string
	run          string // tells this run's events from others
	clients      []*client
	shards       []*shard
	engine       engine

	connected  atomic.Int64
	openedAll  atomic.Int64 // clients that were connected at least once
	reconnects atomic.Int64
	failures   atomic.Int64
	firstError atomic.Pointer[error]
	fatal      chan error // what the machine cannot give

	goal atomic.Pointer[goal]

	mu     sync.Mutex
	timers map[*client]*time.Timer // of reconnects; nil once closed
}

func newSwarm(opts Options) (*swarm, error) {
	target, path, err := parseTarget(opts.URL)
	if err != nil {
		return nil, err
	}
	id := make([]byte, 4)
	_, _ = cryptorand.Read(id) // never fails
	s := &swarm{
		opts: opts, target: target, pathTemplate: path, run: hex.EncodeToString(id),
		fatal: make(chan error, 1), timers: map[*client]*time.Timer{},
	}
	for range loops {
		s.shards = append(s.shards, newShard())
	}
	for i := range opts.Conns {
		s.clients = append(s.clients, &client{
			swarm: s, shard: s.shards[i%loops], index: i, key: opts.key(i), tally: tally{next: 1}, wanted: true,
		})
	}
	s.engine, err = newEngine(s)
	return s, err
}

// loops is how many goroutines read; more than the cores of the everyday machine would only
// take turns.
const loops = 2

// key names what a client receives: in the per-user pattern, users take turns.
func (o Options) key(i int) string {
	if o.Pattern == PerUser {
		return "u" + strconv.Itoa(i%o.Users)
	}
	return "all"
}

// openAll opens the clients, no more than inFlight at a time, spread over ramp, and blocks
// until all have their stream, ctx ends, or the machine has had enough.
func (s *swarm) openAll(ctx context.Context, ramp time.Duration) (Connects, error) {
	const inFlight = 512
	start := time.Now()
	if err := s.tryFirst(ctx); err != nil {
		return s.connects(start), err
	}
	for i, c := range s.clients {
		due := start.Add(ramp * time.Duration(i) / time.Duration(len(s.clients)))
		for time.Now().Before(due) || int64(i)-s.openedAll.Load() >= inFlight {
			if err := s.pause(ctx, time.Millisecond); err != nil {
				return s.connects(start), err
			}
		}
		s.engine.open(c)
	}
	for s.openedAll.Load() < int64(len(s.clients)) {
		if err := s.pause(ctx, time.Millisecond); err != nil {
			return s.connects(start), err
		}
	}
	return s.connects(start), nil
}

// tryFirst opens one client before all others: where nobody listens, or the answer is no, the
// run is over before it has begun.
func (s *swarm) tryFirst(ctx context.Context) error {
	s.engine.open(s.clients[0])
	for s.openedAll.Load() == 0 {
		if first := s.firstError.Load(); first != nil {
			return fmt.Errorf("cannot connect to %s: %w", s.opts.URL, *first)
		}
		if err := s.pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (s *swarm) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		if first := s.firstError.Load(); first != nil {
			return fmt.Errorf("%w; %d of %d connections stand; the first failure: %w", context.Cause(ctx), s.connected.Load(), len(s.clients), *first)
		}
		return context.Cause(ctx)
	case err := <-s.fatal:
		return err
	case <-time.After(d):
		return nil
	}
}

func (s *swarm) connects(start time.Time) Connects {
	took := time.Since(start)
	c := Connects{
		Opened: int(s.openedAll.Load()), Failed: int(s.failures.Load()), Took: took,
		PerSecond: float64(s.openedAll.Load()) / took.Seconds(),
	}
	if first := s.firstError.Load(); first != nil {
		c.Error = (*first).Error()
	}
	return c
}

// opened is told by a client whose stream has begun, under its shard's lock.
func (s *swarm) opened(c *client) {
	c.connected = true
	s.connected.Add(1)
	if c.opens++; c.opens == 1 {
		s.openedAll.Add(1)
	} else {
		s.reconnects.Add(1)
	}
	s.progressed(c)
}

// ended is told by the engine when a client's connection is gone, under its shard's lock.
func (s *swarm) ended(c *client, err error) {
	if c.connected {
		s.connected.Add(-1)
	}
	c.connected = false
	if !errors.Is(err, errCut) {
		s.failures.Add(1)
		wrapped := fmt.Errorf("%s: %w", c.name(), err)
		s.firstError.CompareAndSwap(nil, &wrapped)
	}
	if c.wanted {
		s.reopen(c, 50*time.Millisecond+rand.N(250*time.Millisecond))
	}
}

// reopen opens a client after a while.
func (s *swarm) reopen(c *client, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timers == nil {
		return
	}
	s.timers[c] = time.AfterFunc(after, func() {
		s.mu.Lock()
		open := s.timers != nil
		delete(s.timers, c)
		s.mu.Unlock() // before the engine takes the shard's lock, under which this one is taken
		if open {
			s.engine.open(c)
		}
	})
}

// giveUp ends the run for want of what the machine does not have.
func (s *swarm) giveUp(err error) {
	select {
	case s.fatal <- err:
	default:
	}
}

// goal is the numbers that each key's clients are to reach. It counts for itself, so that a
// client that is just being counted for an earlier one does no harm.
type goal struct {
	numbers map[string]int
	levels  atomic.Int64 // clients that have reached it
	at      atomic.Int64 // when the last one did, in Unix nanoseconds; 0 before
}

// aim sets a goal.
func (s *swarm) aim(numbers map[string]int) *goal {
	g := &goal{numbers: numbers}
	s.goal.Store(g)
	for _, c := range s.clients {
		c.shard.mu.Lock()
		s.count(c, g)
		c.shard.mu.Unlock()
	}
	return g
}

func (s *swarm) progressed(c *client) {
	if g := s.goal.Load(); g != nil {
		s.count(c, g)
	}
}

func (s *swarm) count(c *client, g *goal) {
	if c.reached == g || c.tally.next-1 < g.numbers[c.key] {
		return
	}
	c.reached = g
	if g.levels.Add(1) == int64(len(s.clients)) {
		g.at.Store(time.Now().UnixNano())
	}
}

// sample takes what came since the last one.
func (s *swarm) sample() Sample {
	second := newHistogram()
	out := Sample{Connected: int(s.connected.Load())}
	for _, sh := range s.shards {
		sh.mu.Lock()
		second.Merge(sh.second)
		sh.second.Reset()
		sh.mu.Unlock()
	}
	out.Delivered = int(second.TotalCount())
	if out.Delivered > 0 {
		out.P50 = time.Duration(second.ValueAtQuantile(50))
		out.P99 = time.Duration(second.ValueAtQuantile(99))
		out.Max = time.Duration(second.Max())
	}
	return out
}

// verdict compares all clients with what was published. The engine must be closed.
func (s *swarm) verdict(published map[string]int) (v Verdict) {
	for _, c := range s.clients {
		v.judge(c.name(), &c.tally, published[c.key])
	}
	return v
}

func (s *swarm) latency() (*hdrhistogram.Histogram, int64) {
	all, bytes := newHistogram(), int64(0)
	for _, sh := range s.shards {
		sh.mu.Lock()
		all.Merge(sh.total)
		bytes += sh.bytes
		sh.mu.Unlock()
	}
	return all, bytes
}

func (s *swarm) delivered() (n int) {
	for _, sh := range s.shards {
		sh.mu.Lock()
		n += sh.delivered
		sh.mu.Unlock()
	}
	return n
}

// close ends all connections and waits for the engine.
func (s *swarm) close() {
	s.mu.Lock()
	for _, t := range s.timers {
		t.Stop()
	}
	s.timers = nil
	s.mu.Unlock()
	s.engine.close()
}
