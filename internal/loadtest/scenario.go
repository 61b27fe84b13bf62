package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Load opens the connections, publishes at the rate for the time, and measures how fast and how
// completely events arrive. An error means that the run could not be made; failures of the server
// are in the verdict.
func Load(ctx context.Context, opts Options) (Result, error) {
	return run(ctx, "load", opts, func(ctx context.Context, b *bench) error {
		if err := b.connect(ctx); err != nil {
			return err
		}
		if err := b.publish(ctx, "publishing", eventCount(b.opts)); err != nil {
			return err
		}
		_, err := b.waitUntilCaughtUp(ctx)
		return err
	})
}

// eventCount is how many events a run publishes: at least one.
func eventCount(o Options) int { return max(1, int(o.Rate*o.For.Seconds())) }

// StormOptions are those of a run, and of the reconnects. Rate and For bound the events before the
// clients are disconnected, which give each client a position.
type StormOptions struct {
	Options
	Missed int // events that each client misses while all are disconnected
}

// Storm measures how long all clients need to catch up after their connections were reset at once. It resets the
// connections, publishes events, and reconnects all clients at the same moment with their Last-Event-ID.
// Result.CaughtUp is 0 when not all clients caught up.
func Storm(ctx context.Context, opts StormOptions) (Result, error) {
	return run(ctx, "storm", opts.Options, func(ctx context.Context, b *bench) error {
		if err := b.connect(ctx); err != nil {
			return err
		}
		if err := b.publish(ctx, "before the storm", eventCount(b.opts)); err != nil {
			return err
		}
		if _, err := b.waitUntilCaughtUp(ctx); err != nil {
			return err
		}
		if err := b.clients.disconnectAll(ctx); err != nil {
			return err
		}
		missed := opts.Missed
		if b.opts.Pattern == PerUser {
			missed *= b.opts.Users
		}
		if err := b.publish(ctx, "disconnected", missed); err != nil {
			return err
		}
		b.usage.reconnecting()
		start := time.Now()
		if err := b.clients.reconnectAll(ctx); err != nil {
			return err
		}
		last, err := b.waitUntilCaughtUp(ctx)
		b.usage.caughtUp()
		if !last.IsZero() {
			b.result.CaughtUp = last.Sub(start)
		}
		return err
	})
}

// SoakOptions are those of a run, and of the disruptions.
type SoakOptions struct {
	Options
	// Churn is how many clients a second are disrupted; a tenth of all when zero.
	Churn float64
	// Absence is the longest time for which a client is away or slow; 5 s when zero.
	Absence time.Duration
	// Server, if set, is started before the run, and killed and restarted during it.
	Server *ServerCmd
	// KillEvery is the time between two kills; never when zero.
	KillEvery time.Duration
}

func (o SoakOptions) withDefaults() SoakOptions {
	if o.Churn <= 0 {
		o.Churn = max(1, float64(o.Conns)/10)
	}
	if o.Absence <= 0 {
		o.Absence = 5 * time.Second
	}
	return o
}

// checkKills reports options with which the server would never be killed.
func (o SoakOptions) checkKills() error {
	switch {
	case o.KillEvery < 0:
		return fmt.Errorf("--kill-every %s: it must not be below zero", o.KillEvery)
	case o.KillEvery > 0 && o.Server == nil:
		return fmt.Errorf("--kill-every %s: --server-cmd is missing; no kill would happen", o.KillEvery)
	case o.KillEvery > 0 && o.For <= o.KillEvery:
		return fmt.Errorf("--for %s is not longer than --kill-every %s; no kill would happen: set a longer --for", o.For, o.KillEvery)
	}
	return nil
}

var errNoFirst = errors.New("not every client received a first event: is this the right feed, and are events published to it?")

// Soak publishes numbered events while it disrupts random clients. The disruptions are resets, connections closed
// in the middle of a frame, pauses that make clients slow, and long absences. At the end it compares the numbers
// that each client received with the published ones.
func Soak(ctx context.Context, opts SoakOptions) (Result, error) {
	opts = opts.withDefaults()
	if err := opts.checkKills(); err != nil {
		return Result{}, err
	}
	if opts.Server != nil {
		if err := opts.Server.Start(ctx, opts.URL); err != nil {
			return Result{}, err
		}
		defer opts.Server.Stop()
		opts.PIDs = nil // they change with each start
	}
	return run(ctx, "soak", opts.Options, func(ctx context.Context, b *bench) error {
		if err := b.connect(ctx); err != nil {
			return err
		}
		// Each client receives one event first: without a position it cannot resume.
		first := 1
		if b.opts.Pattern == PerUser {
			first = b.opts.Users
		}
		if err := b.publish(ctx, "a first event for all", first); err != nil {
			return err
		}
		switch last, err := b.waitUntilCaughtUp(ctx); {
		case err != nil:
			return err
		case last.IsZero():
			return errNoFirst
		}
		if err := b.clients.startChurn(ctx, opts.Churn, opts.Absence); err != nil {
			return err
		}
		killing, stopKilling := context.WithCancel(ctx)
		defer stopKilling()
		ended := make(chan error, 1)
		go func() {
			kills, err := opts.Server.killRepeatedly(killing, opts.KillEvery, opts.URL)
			if err == nil && kills == 0 && opts.KillEvery > 0 {
				err = fmt.Errorf("--kill-every %s: the run ended before the first kill; set a longer --for", opts.KillEvery)
			}
			b.result.Kills = kills
			ended <- err
		}()
		err := b.publish(ctx, "soaking", eventCount(b.opts))
		stopKilling()
		if err = errors.Join(err, <-ended); err != nil {
			return err
		}
		if err := b.clients.restoreAll(ctx); err != nil {
			return err
		}
		_, err = b.waitUntilCaughtUp(ctx)
		return err
	})
}
