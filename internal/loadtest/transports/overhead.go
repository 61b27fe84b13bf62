package transports

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Run measures the four transports, side by side on connections of their own, and returns a
// row for each. It takes as long as the longest: Idle, and Events times Interval.
//
// An error of one transport ends all of them.
func Run(ctx context.Context, opts Options) (Table, error) {
	opts, err := opts.resolved()
	if err != nil {
		return Table{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	courses := courses(opts)
	table := Table{Options: opts, Rows: make([]Row, len(courses)), Assumptions: assumptions(opts)}
	var running sync.WaitGroup
	for i, c := range courses {
		running.Go(func() {
			var err error
			if table.Rows[i], err = c.run(ctx, opts); err != nil {
				cancel(fmt.Errorf("%s: %w", c.name, err))
			}
		})
	}
	running.Wait()
	if ctx.Err() != nil {
		return Table{}, context.Cause(ctx)
	}
	return table, nil
}

// course is what one transport goes through.
type course struct {
	name      string
	transport transport
	period    time.Duration // between two keep-alive exchanges
	polls     bool          // an event comes in the answer to an exchange that happens anyway
	delay     string
}

func courses(o Options) []course {
	return []course{
		{name: "SSE", transport: newSSE(), period: o.Heartbeat, delay: "none: pushed"},
		{name: "WebSocket", transport: newWebSocket(), period: o.Heartbeat, delay: "none: pushed"},
		{name: "long polling", transport: newLongPoll(), period: o.Hold,
			delay: "none, or a round trip when the client is about to ask again"},
		{name: "short polling", transport: newShortPoll(), period: o.PollInterval, polls: true,
			delay: fmt.Sprintf("up to %v, %v on average", o.PollInterval, o.PollInterval/2)},
	}
}
