package loadgen

import (
	"context"
	"time"
)

// StormOptions are those of a run, and the storm's own. Rate and For bound the events
// before the storm, which give each client a position.
type StormOptions struct {
	Options
	Missed int // events that each client misses while all are away
}

// Storm cuts all connections at once, publishes events meanwhile, lets all clients come back
// at the same moment with their Last-Event-ID, and tells how long it takes until the last
// one is level. Result.Level is 0 when not all got there.
func Storm(ctx context.Context, opts StormOptions) (Result, error) {
	b, err := newBench("storm", opts.Options)
	if err != nil {
		return Result{}, err
	}
	if err := b.storm(ctx, opts.Missed); err != nil {
		b.close()
		return Result{}, err
	}
	return b.finish(), nil
}

func (b *bench) storm(ctx context.Context, missed int) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	if err := b.publish(ctx, "before the storm", events(b.opts)); err != nil {
		return err
	}
	if _, err := b.settle(ctx); err != nil {
		return err
	}
	b.swarm.cutAll()
	if b.opts.Pattern == PerUser {
		missed *= b.opts.Users
	}
	if err := b.publish(ctx, "all are away", missed); err != nil {
		return err
	}
	start := time.Now()
	b.swarm.returnAll()
	level, err := b.settle(ctx)
	if !level.IsZero() {
		b.result.Level = level.Sub(start)
	}
	return err
}

// cutAll ends every connection, and waits until all are gone.
func (s *swarm) cutAll() {
	for _, c := range s.clients {
		c.shard.mu.Lock()
		c.wanted = false
		c.shard.mu.Unlock()
		s.engine.cut(c, true)
	}
	for s.connected.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// returnAll opens every connection again.
func (s *swarm) returnAll() {
	for _, c := range s.clients {
		c.shard.mu.Lock()
		c.wanted = true
		c.shard.mu.Unlock()
		s.engine.open(c)
	}
}
