package loadgen

import "context"

// Load opens the connections, publishes at the rate for the time, and tells how fast and
// how completely events arrive. An error says that the run could not be made; what the
// server did wrong is in the verdict.
func Load(ctx context.Context, opts Options) (Result, error) {
	b, err := newBench("load", opts)
	if err != nil {
		return Result{}, err
	}
	if err := b.connect(ctx); err != nil {
		b.close()
		return Result{}, err
	}
	if err := b.publish(ctx, "publishing", events(b.opts)); err != nil {
		b.close()
		return Result{}, err
	}
	b.settle(ctx)
	return b.finish(), nil
}

// events is how many a run publishes: at least one.
func events(o Options) int { return max(1, int(o.Rate*o.For.Seconds())) }
