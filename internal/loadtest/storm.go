package loadtest

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
	return run(ctx, "storm", opts.Options, func(b *bench, ctx context.Context) error {
		return b.storm(ctx, opts.Missed)
	})
}

func (b *bench) storm(ctx context.Context, missed int) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	if err := b.publish(ctx, "before the storm", events(b.opts)); err != nil {
		return err
	}
	if _, err := b.waitUntilCaughtUp(ctx); err != nil {
		return err
	}
	if err := b.clients.disconnectAll(ctx); err != nil {
		return err
	}
	if b.opts.Pattern == PerUser {
		missed *= b.opts.Users
	}
	if err := b.publish(ctx, "all are away", missed); err != nil {
		return err
	}
	start := time.Now()
	if err := b.clients.reconnectAll(ctx); err != nil {
		return err
	}
	level, err := b.waitUntilCaughtUp(ctx)
	if !level.IsZero() {
		b.result.CaughtUp = level.Sub(start)
	}
	return err
}

func (s *localClients) disconnectAll(ctx context.Context) error {
	for _, c := range s.clients {
		c.shard.mu.Lock()
		c.wantConnected = false
		c.shard.mu.Unlock()
		s.engine.disconnect(c, true)
	}
	for s.connected.Load() > 0 {
		select {
		case <-s.allDisconnected:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (s *localClients) reconnectAll(context.Context) error {
	for _, c := range s.clients {
		s.reconnect(c)
	}
	return nil
}
