package jetstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errInactiveThreshold refuses a consumer that asks for a longer inactive threshold than the
// stream's consumer_limits allow.
const errInactiveThreshold = 10153

// pullLimits bound a pull request: what its consumer's configuration has, which the server fills
// in from its own limits (jetstream.limits.max_request_batch). Zero is no limit.
type pullLimits struct {
	Batch   int           `json:"max_batch"`
	Bytes   int           `json:"max_bytes"`
	Expires time.Duration `json:"max_expires"`
}

// clamp returns what a request for batch messages, bytes, and pullExpires may have. Bytes of zero
// are no bound, and stay so: a message that is larger than the limit would never be delivered.
func (l pullLimits) clamp(batch, bytes int) (int, int, time.Duration) {
	expires := pullExpires
	if l.Batch > 0 {
		batch = min(batch, l.Batch)
	}
	if l.Bytes > 0 {
		bytes = min(bytes, l.Bytes)
	}
	if l.Expires > 0 {
		expires = min(expires, l.Expires)
	}
	return batch, bytes, expires
}

// lower reads the status that refuses a request, such as "Exceeded MaxRequestBatch of 500". It
// reports whether the next request asks for less than the one that was refused: the limits changed
// after the consumer was made.
func (l *pullLimits) lower(text string) bool {
	limit, found := strings.CutPrefix(text, "Exceeded ")
	name, value, ok := strings.Cut(limit, " of ")
	if !found || !ok {
		return false
	}
	switch name {
	case "MaxRequestBatch":
		return lowerTo(&l.Batch, value)
	case "MaxRequestMaxBytes":
		return lowerTo(&l.Bytes, value)
	case "MaxRequestExpires":
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || l.Expires > 0 && d >= l.Expires {
			return false
		}
		l.Expires = d
		return true
	}
	return false
}

// exceeded ends the request under way, which asked for more than the server allows.
func (p *puller) exceeded(text string) (delivery, error) {
	err := p.refused(text)
	if !p.limits.lower(text) {
		return delivery{}, err
	}
	p.left = 0
	return delivery{kind: over}, nil
}

// refused counts a pull request that the server did not accept, and reports it.
func (p *puller) refused(text string) error {
	l := p.log
	l.counts.refusals.Add(1)
	if n, ok := l.refusals.allow(); ok {
		l.opts.Logger.Warn("pull request refused", "consumer", p.consumer, "status", text, "times", n)
	}
	return fmt.Errorf("the pull request was refused: %s", text)
}

func lowerTo(limit *int, value string) bool {
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 || *limit > 0 && n >= *limit {
		return false
	}
	*limit = n
	return true
}

// consumerLimits are the stream's consumer_limits, as its leader's last answer has them.
type consumerLimits struct {
	inactive atomic.Int64 // ns; zero is no limit
}

func (c *consumerLimits) set(info *streamInfo) {
	c.inactive.Store(int64(info.Config.ConsumerLimits.InactiveThreshold))
}

func (c *consumerLimits) clamp(cfg jetstream.ConsumerConfig) jetstream.ConsumerConfig {
	if limit := time.Duration(c.inactive.Load()); limit > 0 {
		cfg.InactiveThreshold = min(cfg.InactiveThreshold, limit)
	}
	return cfg
}

// within makes creates stay within the stream's consumer_limits, also where they became lower
// since the stream's leader was asked last.
func (l *Store) within(create createFunc) createFunc {
	return func(ctx context.Context, cfg jetstream.ConsumerConfig) (created, error) {
		cfg = l.limits.clamp(cfg)
		made, err := create(ctx, cfg)
		if !isAPIError(err, errInactiveThreshold) {
			return made, err
		}
		if _, infoErr := l.info(ctx); infoErr != nil {
			return made, err
		}
		lower := l.limits.clamp(cfg)
		if lower.InactiveThreshold == cfg.InactiveThreshold {
			return made, err
		}
		l.opts.Logger.Info("the stream's consumer_limits bound the inactive threshold of consumers",
			"inactive_threshold", lower.InactiveThreshold.String())
		return create(ctx, lower)
	}
}
