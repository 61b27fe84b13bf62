package jetstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// creates makes consumers. Those of replays queue for a slot; the tail does not, since all
// live clients wait for it.
type creates struct {
	log   *Store
	slots chan struct{} // the runtime serves blocked senders in their order: the queue is fair
	group group
}

func newCreates(l *Store) *creates {
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
	return c.run(ctx, cfg, order{api: c.log.api, attempts: sameName, release: func() { <-c.slots }})
}

// scanned returns a function that creates a consumer for the latest event of each of a number of
// subjects when its turn has come; 0 is not known.
func (c *creates) scanned(subjects int) createFunc {
	if subjects > 0 && subjects <= feed.FewSubjects {
		return c.queued
	}
	subjects = cmp.Or(subjects, scanCapacity)
	return func(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
		c.log.counts.waiting.Add(1)
		defer c.log.counts.waiting.Add(-1)
		release, err := c.log.opts.Scans.acquire(ctx, subjects)
		if err != nil {
			return created{}, err
		}
		return c.run(ctx, cfg, order{api: c.log.scan(subjects), attempts: sameName, release: release})
	}
}

// now creates a consumer without queueing. It tries once: in a cluster another name may find
// another replica.
func (c *creates) now(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
	return c.run(ctx, cfg, order{api: c.log.api, attempts: 1, release: func() {}})
}

// sameName is how often a consumer is requested under one name. The server may still be making it
// when the first request has timed out: a second one under the same name costs it nothing, where
// another name is the same work again. Not more often, because in a cluster the name also stands
// for the replica, which may be gone.
const sameName = 2

// order says how a consumer is created.
type order struct {
	api      api
	attempts int
	release  func() // gives back the place in the queue, once the server has answered
}

type outcome struct {
	created created
	err     error
}

// run sees a create through to its answer also when ctx ends meanwhile: a delete that was
// sent before the server has created would leave the consumer behind. Either the caller
// takes the outcome or the goroutine deletes the consumer; the channel has no buffer, so
// that never both or none do.
func (c *creates) run(ctx context.Context, cfg jetstream.ConsumerConfig, how order) (created, error) {
	result := make(chan outcome)
	started := c.group.start(func() {
		resp, err := c.attempt(ctx, cfg, how)
		how.release()
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
		how.release()
		return created{}, ErrClosed
	}
	select {
	case r := <-result:
		return r.created, r.err
	case <-ctx.Done():
		return created{}, context.Cause(ctx)
	}
}

// attempt repeats a request that is not answered, as long as somebody waits for it.
func (c *creates) attempt(ctx context.Context, cfg jetstream.ConsumerConfig, how order) (resp created, err error) {
	for range how.attempts {
		resp, err = c.create(cfg, how.api)
		if !errors.Is(err, errNoAnswer) || ctx.Err() != nil {
			break
		}
		c.log.logRetry(err)
	}
	return resp, err
}

func (c *creates) create(cfg jetstream.ConsumerConfig, api api) (created, error) {
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
	err := api.request(c.log.ctx, op, req, &resp)
	c.log.counts.create(err)
	return resp, err
}
