package feed

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/histogram"
)

// Reasons has all reasons.
var Reasons = []Reason{Trimmed, NewEpoch, Future, Malformed, Possible}

// lossCounts counts by reason.
type lossCounts [5]atomic.Uint64

func (c *lossCounts) add(why Reason) {
	for i, r := range Reasons {
		if r == why {
			c[i].Add(1)
		}
	}
}

func (c *lossCounts) load() map[Reason]uint64 {
	counts := make(map[Reason]uint64, len(Reasons))
	for i, r := range Reasons {
		counts[r] = c[i].Load()
	}
	return counts
}

// ReplayStatus counts the replays of a feed since the start. A subscription
// with two replays in a row counts twice.
type ReplayStatus struct {
	Active int
	// Completed were read to their end, Suspended were given up because the client did not read, and
	// continue as another replay once it does. Abandoned are all others: the client left, or the store
	// failed.
	Completed, Suspended, Abandoned uint64
	Events                          uint64             // read from the store
	Duration                        histogram.Snapshot // from the first request to the end
}

// replays counts the replays of a feed.
type replays struct {
	active                                  atomic.Int64
	completed, suspended, abandoned, events atomic.Uint64
	duration                                histogram.Histogram
}

func (r *replays) status() ReplayStatus {
	return ReplayStatus{
		Active: int(r.active.Load()), Completed: r.completed.Load(), Suspended: r.suspended.Load(), Abandoned: r.abandoned.Load(),
		Events: r.events.Load(), Duration: r.duration.Snapshot(),
	}
}

// countedReader is a Reader that is counted. It is there only as long as its replay, so that a
// connection that has caught up needs no memory for it.
type countedReader struct {
	Reader
	replays   *replays
	outage    context.Context // ends the replay, see outages
	began     time.Time
	ended     bool
	suspended bool
}

func (r *replays) watch(reader Reader, outage context.Context) *countedReader {
	r.active.Add(1)
	return &countedReader{Reader: reader, replays: r, outage: outage, began: time.Now()}
}

func (w *countedReader) Close() {
	w.Reader.Close()
	w.replays.active.Add(-1)
	switch {
	case w.ended:
		w.replays.completed.Add(1)
	case w.suspended:
		w.replays.suspended.Add(1)
	default:
		w.replays.abandoned.Add(1)
	}
	w.replays.duration.Observe(0, time.Since(w.began))
}
