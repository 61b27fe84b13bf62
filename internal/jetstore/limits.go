package jetstore

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/jsapi"
)

// errInactiveThreshold refuses a consumer with a longer inactive threshold than the
// stream's consumer_limits allow.
const errInactiveThreshold = 10153

// pullLimits bound a pull request: they are in the consumer's configuration, which the server fills
// in from its own limits (jetstream.limits.max_request_batch). Zero means unlimited.
type pullLimits struct {
	Batch   int           `json:"max_batch"`
	Bytes   int           `json:"max_bytes"`
	Expires time.Duration `json:"max_expires"`
}

// clamp returns the size and duration of a request for batch messages and bytes within the limits. Zero
// bytes mean unlimited, and stay so: a message that is larger than the limit would never be delivered.
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

// lower applies the status that refuses a request, such as "Exceeded MaxRequestBatch of 500". It
// reports whether the next request is for less than the refused one: the limits changed
// after the consumer was created.
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
	inactive atomic.Int64 // ns; zero means unlimited
}

func (c *consumerLimits) set(info *jsapi.StreamInfo) {
	c.inactive.Store(int64(info.Config.ConsumerLimits.InactiveThreshold))
}

func (c *consumerLimits) clamp(cfg jetstream.ConsumerConfig) jetstream.ConsumerConfig {
	if limit := time.Duration(c.inactive.Load()); limit > 0 {
		cfg.InactiveThreshold = min(cfg.InactiveThreshold, limit)
	}
	return cfg
}
