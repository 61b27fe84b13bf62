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
	disconnect(c *client, abort bool)
	// pause stops reading, and with false goes on: a client that is slow.
	pause(c *client, paused bool)
	// close ends everything and waits for it.
	close()
}

// swarm is the clients that this process has.
type localClients struct {
	opts         Options
	part        partition
	server       *url.URL
	pathTemplate string
	clients      []*client
	shards       []*shard
	engine       engine
	abort       func(error) // ends the run for want of what the machine does not have

	connected  atomic.Int64
	reconnects atomic.Int64
	failures   atomic.Int64
	firstError atomic.Pointer[error]
	allDisconnected      chan struct{} // filled when the last connection ends
	opening    opening
	churnContext       context.Context // ends the churn
	stopChurn   context.CancelFunc
	churning   sync.WaitGroup

	current atomic.Pointer[target]

	mu     sync.Mutex
	timers map[*client]*time.Timer // of reconnects; nil once closed
}

func newLocalClients(opts Options, sh partition, giveUp func(error)) (*localClients, error) {
	target, path, err := parseTarget(opts.URL)
	if err != nil {
		return nil, err
	}
	s := &localClients{
		opts: opts, part: sh, server: target, pathTemplate: path, abort: giveUp,
		opening: newOpening(max(maxOpening/sh.Of, 1)), allDisconnected: make(chan struct{}, 1), timers: map[*client]*time.Timer{},
	}
	s.churnContext, s.stopChurn = context.WithCancel(context.Background())
	for range loops {
		s.shards = append(s.shards, newShard())
	}
	return s, nil
}

func (s *localClients) pids() []int { return nil }

// gather makes the clients. They are no part of a process's memory before its connections.
func (s *localClients) createClients() (err error) {
	for i := s.part.Index; i < s.opts.Conns; i += s.part.Of {
		slot := len(s.clients)
		s.clients = append(s.clients, &client{
			set: s, shard: s.shards[slot%loops], index: i, slot: slot, key: s.opts.key(i), tally: tally{next: 1}, wantConnected: true,
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
func (s *localClients) opened(c *client) {
	c.connected = true
	s.connected.Add(1)
	if c.opened++; c.opened == 1 {
		s.opening.opened(len(s.clients))
	} else {
		s.reconnects.Add(1)
	}
	s.checkTarget(c)
}

// ended is told by the engine when a client's connection is gone, under its shard's lock.
func (s *localClients) ended(c *client, err error) {
	if c.connected && s.connected.Add(-1) == 0 {
		select {
		case s.allDisconnected <- struct{}{}:
		default:
		}
	}
	c.connected = false
	if !errors.Is(err, errDisconnected) {
		s.failures.Add(1)
		wrapped := fmt.Errorf("%s: %w", c.name(), err)
		if s.firstError.CompareAndSwap(nil, &wrapped) {
			close(s.opening.failed)
		}
	}
	if c.wantConnected {
		s.reopen(c, 50*time.Millisecond+rand.N(250*time.Millisecond))
	}
}

// reopen opens a client after a while.
func (s *localClients) reopen(c *client, after time.Duration) {
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

// finish: nothing is received any more while it counts.
func (s *localClients) finish(_ context.Context, published map[string]int) (clientsResult, error) {
	s.close()
	h := clientsResult{Reconnects: int(s.reconnects.Load()), Latency: &histogram{newHistogram()}}
	for _, c := range s.clients {
		text := h.Verdict.addClient(c.name(), &c.tally, published[c.key])
		if text != "" && len(h.Violations) < maxViolations {
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
