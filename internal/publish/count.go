package publish

import (
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/histogram"
)

// Status counts the messages of a Publisher.
type Status struct {
	Stored, Duplicates, Failed uint64 // messages
	// Duration of those that were acknowledged, from the call of Publish. Acknowledgements of one
	// call are awaited in order.
	Duration histogram.Snapshot
}

type counts struct {
	stored, duplicates, failed atomic.Uint64
	duration                   histogram.Histogram
}

func (c *counts) add(r feed.Result, took time.Duration) {
	switch {
	case r.Err != nil:
		c.failed.Add(1)
		return
	case r.Ack.Duplicate:
		c.duplicates.Add(1)
	default:
		c.stored.Add(1)
	}
	c.duration.Observe(0, took)
}

// Status returns the counts so far. It does not block.
func (p *Publisher) Status() Status {
	c := &p.counts
	return Status{
		Stored: c.stored.Load(), Duplicates: c.duplicates.Load(), Failed: c.failed.Load(),
		Duration: c.duration.Snapshot(),
	}
}
