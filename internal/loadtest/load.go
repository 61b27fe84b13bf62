package loadtest

import "context"

// Load opens the connections, publishes at the rate for the time, and tells how fast and
// how completely events arrive. An error says that the run could not be made; what the
// server did wrong is in the verdict.
func Load(ctx context.Context, opts Options) (Result, error) {
	return run(ctx, "load", opts, (*bench).load)
}

func (b *bench) load(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	if err := b.publish(ctx, "publishing", events(b.opts)); err != nil {
		return err
	}
	_, err := b.waitUntilCaughtUp(ctx)
	return err
}

// events is how many a run publishes: at least one.
func events(o Options) int { return max(1, int(o.Rate*o.For.Seconds())) }
