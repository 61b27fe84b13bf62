package loadtest

import (
	"context"
	"sync/atomic"
	"time"
)

// goal is the numbers that each key's clients are to reach. It counts for itself, so that a
// client that is just being counted for an earlier one does no harm.
type target struct {
	numbers map[string]int
	left    atomic.Int64   // clients that have not reached it
	level   chan time.Time // when the last one did
}

func (s *localClients) setTarget(_ context.Context, numbers map[string]int) <-chan time.Time {
	g := &target{numbers: numbers, level: make(chan time.Time, 1)}
	g.left.Store(int64(len(s.clients)))
	s.current.Store(g)
	for _, c := range s.clients {
		c.shard.mu.Lock()
		c.count(g)
		c.shard.mu.Unlock()
	}
	return g.level
}

func (s *localClients) checkTarget(c *client) {
	if g := s.current.Load(); g != nil {
		c.count(g)
	}
}

// count takes a client into account that has reached the goal, once.
func (c *client) count(g *target) {
	if c.reachedTarget == g || c.tally.next-1 < g.numbers[c.key] {
		return
	}
	c.reachedTarget = g
	if g.left.Add(-1) == 0 {
		g.level <- time.Now()
	}
}
