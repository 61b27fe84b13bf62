package loadtest

import (
	"context"
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

// swarm is the clients that this process has.
type swarm struct {
	opts         Options
	share        share
	target       *url.URL
	pathTemplate string
	clients      []*client
	shards       []*shard
	engine       engine
	giveUp       func(error) // ends the run for want of what the machine does not have

	connected  atomic.Int64
	reconnects atomic.Int64
	failures   atomic.Int64
	firstError atomic.Pointer[error]
	empty      chan struct{} // filled when the last connection ends
	opening    opening
	calm       context.Context // ends the churn
	calmDown   context.CancelFunc
	churning   sync.WaitGroup

	goal atomic.Pointer[goal]

	mu     sync.Mutex
	timers map[*client]*time.Timer // of reconnects; nil once closed
}

func newSwarm(opts Options, sh share, giveUp func(error)) (*swarm, error) {
	target, path, err := parseTarget(opts.URL)
	if err != nil {
		return nil, err
	}
	s := &swarm{
		opts: opts, share: sh, target: target, pathTemplate: path, giveUp: giveUp,
		opening: newOpening(max(inFlight/sh.Of, 1)), empty: make(chan struct{}, 1), timers: map[*client]*time.Timer{},
	}
	s.calm, s.calmDown = context.WithCancel(context.Background())
	for range loops {
		s.shards = append(s.shards, newShard())
	}
	return s, nil
}

func (s *swarm) pids() []int { return nil }

// gather makes the clients. They are no part of a process's memory before its connections.
func (s *swarm) gather() (err error) {
	for i := s.share.Index; i < s.opts.Conns; i += s.share.Of {
		slot := len(s.clients)
		s.clients = append(s.clients, &client{
			swarm: s, shard: s.shards[slot%loops], index: i, slot: slot, key: s.opts.key(i), tally: tally{next: 1}, wanted: true,
		})
	}
	s.engine, err = newEngine(s)
	return err
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

// opened is told by a client whose stream has begun, under its shard's lock.
func (s *swarm) opened(c *client) {
	c.connected = true
	s.connected.Add(1)
	if c.opens++; c.opens == 1 {
		s.opening.opened(len(s.clients))
	} else {
		s.reconnects.Add(1)
	}
	s.progressed(c)
}

// ended is told by the engine when a client's connection is gone, under its shard's lock.
func (s *swarm) ended(c *client, err error) {
	if c.connected && s.connected.Add(-1) == 0 {
		select {
		case s.empty <- struct{}{}:
		default:
		}
	}
	c.connected = false
	if !errors.Is(err, errCut) {
		s.failures.Add(1)
		wrapped := fmt.Errorf("%s: %w", c.name(), err)
		if s.firstError.CompareAndSwap(nil, &wrapped) {
			close(s.opening.failed)
		}
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

func (s *swarm) sample(context.Context) (int, *hdrhistogram.Histogram, error) {
	second := newHistogram()
	for _, sh := range s.shards {
		sh.mu.Lock()
		second.Merge(sh.second)
		sh.second.Reset()
		sh.mu.Unlock()
	}
	return int(s.connected.Load()), second, nil
}

// finish: nothing is received any more while it counts.
func (s *swarm) finish(_ context.Context, published map[string]int) (harvest, error) {
	s.close()
	h := harvest{Reconnects: int(s.reconnects.Load()), Latency: &histogram{newHistogram()}}
	for _, c := range s.clients {
		text := h.Verdict.judge(c.name(), &c.tally, published[c.key])
		if text != "" && len(h.Violations) < maxSentences {
			h.Violations = append(h.Violations, violation{c.index, text})
		}
	}
	for _, sh := range s.shards {
		h.Latency.Merge(sh.total)
		h.received(sh.first, sh.last)
		h.Bytes += sh.bytes
	}
	return h, nil
}

func (s *swarm) close() {
	s.calmDown()
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
