// Package backoff paces attempts that are repeated until they succeed.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of the pause between two attempts, without jitter. Max is short, so that a recovery is noticed
// within about a second.
const (
	Min = 25 * time.Millisecond
	Max = time.Second
)

// Delay returns the pause before another attempt, the first being 0. The jitter is up to half of the
// pause, because a restarted server makes thousands of readers fail at one moment.
func Delay(attempt int) time.Duration {
	d := min(Min<<min(attempt, 10), Max)
	return d - rand.N(d/2)
}

// Pause blocks for d, or until early is closed. Its error is the cause of ctx, if ctx ends first.
func Pause(ctx context.Context, d time.Duration, early <-chan struct{}) error {
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
