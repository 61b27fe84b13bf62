package jetstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jsapi"
)

// consumerCreator creates consumers within the limits of the stream. Those of replays queue for a slot;
// the tail's does not, since all live clients wait for it.
type consumerCreator struct {
	leader  *leader
	deleter *consumerDeleter
	counts  *counts
	scans   *ScanQueue
	slots   chan struct{} // the runtime serves blocked senders in their order: the queue is fair
	group   group
}

// close waits for the requests under way.
func (c *consumerCreator) close() { c.group.close() }

// createFunc creates a consumer. It returns the answer of the server, which may be an error.
type createFunc func(context.Context, jetstream.ConsumerConfig) (created, error)

// created has the fields of a CONSUMER.CREATE response that are used here.
type created struct {
	jsapi.Failure
	NumPending uint64     `json:"num_pending"`
	Config     pullLimits `json:"config"`
}

// queued creates a consumer when its turn has come.
func (c *consumerCreator) queued(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
	c.counts.waiting.Add(1)
	defer c.counts.waiting.Add(-1)
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return created{}, context.Cause(ctx)
	}
	return c.run(ctx, cfg, createOptions{api: c.leader.api, attempts: sameName, release: func() { <-c.slots }})
}

// scanned returns a function that creates a consumer for the latest event of each of a number of
// subjects when its turn has come; 0 is not known.
func (c *consumerCreator) scanned(subjects int) createFunc {
	if subjects > 0 && subjects <= feed.FewSubjects {
		return c.queued
	}
	subjects = cmp.Or(subjects, scanCapacity)
	return func(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
		c.counts.waiting.Add(1)
		defer c.counts.waiting.Add(-1)
		release, err := c.scans.acquire(ctx, subjects)
		if err != nil {
			return created{}, err
		}
		return c.run(ctx, cfg, createOptions{api: scanClient(c.leader.api, subjects), attempts: sameName, release: release})
	}
}

// now creates a consumer without a queue. It tries once: in a cluster another name may find
// another replica.
func (c *consumerCreator) now(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
	return c.run(ctx, cfg, createOptions{api: c.leader.api, attempts: 1, release: func() {}})
}

// sameName is the number of requests to create a consumer under one name. The server may still be creating
// it when the first request times out. A second request under the same name then costs nothing, while
// another name doubles the work. There are no more, because in a cluster the name also determines the
// replica, which may be down.
const sameName = 2

// createOptions are those of one consumer.
type createOptions struct {
	api      jsapi.Client
	attempts int
	release  func() // gives back the place in the queue, once the server has answered
}

type createResult struct {
	created created
	err     error
}

// run creates a consumer in a goroutine that waits for the answer also when ctx ends first: the server would
// ignore a delete that arrives before the consumer exists, and keep the consumer. Either the caller receives
// the result, or the goroutine deletes the consumer. The channel has no buffer, so that exactly one of them
// does.
func (c *consumerCreator) run(ctx context.Context, cfg jetstream.ConsumerConfig, opts createOptions) (created, error) {
	result := make(chan createResult)
	started := c.group.start(func() {
		resp, err := c.attempt(ctx, cfg, opts)
		opts.release()
		unwanted := jsapi.Unclear(err)
		select {
		case result <- createResult{resp, err}:
		case <-ctx.Done():
			unwanted = unwanted || err == nil
		}
		if unwanted {
			c.deleter.add(cfg.Name)
		}
	})
	if !started {
		opts.release()
		return created{}, ErrClosed
	}
	select {
	case r := <-result:
		return r.created, r.err
	case <-ctx.Done():
		return created{}, context.Cause(ctx)
	}
}

// attempt repeats a request that is not answered, as long as the caller waits.
func (c *consumerCreator) attempt(ctx context.Context, cfg jetstream.ConsumerConfig, opts createOptions) (resp created, err error) {
	for range opts.attempts {
		resp, err = c.create(cfg, opts.api)
		if !errors.Is(err, jsapi.ErrNoAnswer) || ctx.Err() != nil {
			break
		}
		c.leader.logRetry(err)
	}
	return resp, err
}

func (c *consumerCreator) create(cfg jetstream.ConsumerConfig, api jsapi.Client) (created, error) {
	op := fmt.Sprintf("CONSUMER.CREATE.%s.%s", c.leader.stream, cfg.Name)
	if cfg.FilterSubject != "" {
		op += "." + cfg.FilterSubject // so that permissions can be given by filter
	}
	req := struct {
		Stream string                   `json:"stream_name"`
		Config jetstream.ConsumerConfig `json:"config"`
		Action string                   `json:"action"`
	}{c.leader.stream, cfg, "create"}
	var resp created
	err := api.Request(c.leader.ctx, op, req, &resp)
	c.counts.create(err)
	return resp, err
}

// within returns a function that applies the stream's consumer_limits, then calls create. If the limits have
// become lower since the leader's last answer, it calls create again with the lower ones.
func (c *consumerCreator) within(create createFunc) createFunc {
	limits := &c.leader.limits
	return func(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
		cfg = limits.clamp(cfg)
		made, err := create(ctx, cfg)
		if !jsapi.IsError(err, errInactiveThreshold) {
			return made, err
		}
		if _, infoErr := c.leader.info(ctx); infoErr != nil {
			return made, err
		}
		lower := limits.clamp(cfg)
		if lower.InactiveThreshold == cfg.InactiveThreshold {
			return made, err
		}
		c.leader.log.Info("jetstream: consumer_limits of the stream are lower; inactive threshold of consumers reduced",
			"inactive_threshold", lower.InactiveThreshold.String())
		return create(ctx, lower)
	}
}
