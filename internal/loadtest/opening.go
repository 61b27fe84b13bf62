package loadtest

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// connectTimeout bounds the opening of all connections, beside the ramp.
const openTimeout = 60 * time.Second

func (o Options) openLimit() time.Duration { return openTimeout + o.Ramp }

// inFlight is how many connections of a run are being opened at a time.
const maxOpening = 512

// opening is how far a swarm's clients have come with their first connection.
type opening struct {
	done        atomic.Int64  // clients that were connected at least once
	slots       chan struct{} // one is taken by each client that is being opened
	first, last chan struct{} // closed when the first and the last client has its stream
	failed      chan struct{} // closed with the first failure
}

func newOpening(slots int) opening {
	return opening{
		slots: make(chan struct{}, slots), first: make(chan struct{}), last: make(chan struct{}), failed: make(chan struct{}),
	}
}

// opened counts one of so many clients, each once.
func (o *opening) opened(of int) {
	<-o.slots // which its opening took
	n := int(o.done.Add(1))
	if n == 1 {
		close(o.first)
	}
	if n == of {
		close(o.last)
	}
}

// openAll opens the clients, no more than inFlight at a time, spread over the ramp.
func (s *localClients) openAll(ctx context.Context) (Connects, error) {
	if err := s.createClients(); err != nil {
		return Connects{}, err
	}
	within := s.opts.openLimit()
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not all clients have their stream within %v", within))
	defer cancel()
	start := time.Now()
	if err := s.openFirst(ctx); err != nil {
		return Connects{}, err
	}
	for _, c := range s.clients[1:] {
		sleepUntil(ctx, start.Add(s.opts.Ramp*time.Duration(c.index)/time.Duration(s.opts.Conns)))
		if err := s.openOne(ctx, c); err != nil {
			return Connects{}, err
		}
	}
	select {
	case <-s.opening.last:
	case <-ctx.Done():
		return Connects{}, s.openError(ctx)
	}
	c := Connects{Opened: int(s.opening.done.Load()), Failed: int(s.failures.Load())}
	if first := s.firstError.Load(); first != nil {
		c.Error = (*first).Error()
	}
	return c.within(time.Since(start)), nil
}

// tryFirst opens one client before all others: where nobody listens, or the answer is no, the
// run is over before it has begun.
func (s *localClients) openFirst(ctx context.Context) error {
	if err := s.openOne(ctx, s.clients[0]); err != nil {
		return err
	}
	select {
	case <-s.opening.failed:
		return fmt.Errorf("cannot connect to %s: %w", s.opts.URL, *s.firstError.Load())
	case <-s.opening.first:
		return nil
	case <-ctx.Done():
		return s.openError(ctx)
	}
}

// openOne opens a client for the first time, once fewer than inFlight others are on their way.
func (s *localClients) openOne(ctx context.Context, c *client) error {
	select {
	case s.opening.slots <- struct{}{}:
		s.engine.open(c)
		return nil
	case <-ctx.Done():
		return s.openError(ctx)
	}
}

// unopened says how far the clients came until ctx ended.
func (s *localClients) openError(ctx context.Context) error {
	err := fmt.Errorf("%w; %d of %d connections stand", context.Cause(ctx), s.connected.Load(), len(s.clients))
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

// within is c in the time that it took.
func (c Connects) within(took time.Duration) Connects {
	c.Took, c.PerSecond = took, float64(c.Opened)/took.Seconds()
	return c
}
