package jetstore

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = 25 * time.Millisecond
	maxBackoff = time.Second // so that what heals is noticed within about a second
)

// backoff returns the pause before another attempt, the first being 0. The jitter takes up
// to half of it, because a restarted server makes thousands of readers fail at one moment.
func backoff(attempt int) time.Duration {
	d := min(minBackoff<<min(attempt, 10), maxBackoff)
	return d - rand.N(d/2)
}

// pause waits for d, or until early is closed.
func pause(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	case <-early:
	}
	return nil
}
