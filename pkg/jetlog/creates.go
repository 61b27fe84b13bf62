package jetlog

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// creates makes consumers. Those of replays queue for a slot; the tail does not, since all
// live clients wait for it.
type creates struct {
	log   *Log
	slots chan struct{} // the runtime serves blocked senders in their order: the queue is fair
	group group
}

func newCreates(l *Log) *creates {
	return &creates{log: l, slots: make(chan struct{}, l.opts.MaxCreates)}
}

// close waits for the creates under way.
func (c *creates) close() { c.group.close() }

// created is what matters of a CONSUMER.CREATE response.
type created struct {
	failure
	NumPending uint64     `json:"num_pending"`
	Config     pullLimits `json:"config"`
}

// queued creates a consumer when its turn has come.
func (c *creates) queued(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
	c.log.counts.waiting.Add(1)
	defer c.log.counts.waiting.Add(-1)
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return created{}, context.Cause(ctx)
	}
	return c.run(ctx, cfg, func() { <-c.slots })
}

// now creates a consumer without queueing.
func (c *creates) now(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
	return c.run(ctx, cfg, func() {})
}

type outcome struct {
	created created
	err     error
}

// run sees a create through to its answer also when ctx ends meanwhile: a delete that was
// sent before the server has created would leave the consumer behind. Either the caller
// takes the outcome or the goroutine deletes the consumer; the channel has no buffer, so
// that never both or none do.
func (c *creates) run(ctx context.Context, cfg jetstream.ConsumerConfig, release func()) (created, error) {
	result := make(chan outcome)
	started := c.group.start(func() {
		resp, err := c.create(cfg)
		release()
		unwanted := unclear(err)
		select {
		case result <- outcome{resp, err}:
		case <-ctx.Done():
			unwanted = unwanted || err == nil
		}
		if unwanted {
			c.log.deletes.add(cfg.Name)
		}
	})
	if !started {
		release()
		return created{}, ErrClosed
	}
	select {
	case r := <-result:
		return r.created, r.err
	case <-ctx.Done():
		return created{}, context.Cause(ctx)
	}
}

func (c *creates) create(cfg jetstream.ConsumerConfig) (created, error) {
	op := fmt.Sprintf("CONSUMER.CREATE.%s.%s", c.log.opts.Stream, cfg.Name)
	if cfg.FilterSubject != "" {
		op += "." + cfg.FilterSubject // so that permissions can be given by filter
	}
	req := struct {
		Stream string                   `json:"stream_name"`
		Config jetstream.ConsumerConfig `json:"config"`
		Action string                   `json:"action"`
	}{c.log.opts.Stream, cfg, "create"}
	var resp created
	err := c.log.request(c.log.ctx, op, req, &resp)
	c.log.counts.create(err)
	return resp, err
}
