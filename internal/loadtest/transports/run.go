package transports

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Run measures the four transports at the same time, each on its own connection, and returns a row for
// each. It takes Idle and Events times Interval. An error of one transport ends all of them.
func Run(ctx context.Context, opts Options) (Table, error) {
	opts, err := opts.resolved()
	if err != nil {
		return Table{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	all := measurements(opts)
	table := Table{Options: opts, Rows: make([]Row, len(all)), Assumptions: assumptions(opts)}
	var running sync.WaitGroup
	for i, c := range all {
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

// measurement is the measurement of one transport.
type measurement struct {
	name      string
	transport transport
	period    time.Duration // between two heartbeats
	polls     bool          // an event is in the answer to an exchange that also happens when idle
	delay     string
}

func measurements(o Options) []measurement {
	return []measurement{
		{name: "SSE", transport: newSSE(), period: o.Heartbeat, delay: "none: pushed"},
		{name: "WebSocket", transport: newWebSocket(), period: o.Heartbeat, delay: "none: pushed"},
		{name: "long polling", transport: newLongPoll(), period: o.Hold,
			delay: "none, or a round trip when the client is about to poll again"},
		{name: "short polling", transport: newShortPoll(), period: o.PollInterval, polls: true,
			delay: fmt.Sprintf("up to %v, %v on average", o.PollInterval, o.PollInterval/2)},
	}
}
