package feed

import (
	"context"
	"time"
)

// A tail that fails at once is restarted after firstRestart, then twice as late each time. A tail
// that ran for steadyTail begins with firstRestart again.
const (
	firstRestart = 100 * time.Millisecond
	lastRestart  = 5 * time.Second
	steadyTail   = 2 * lastRestart
)

// restart counts how often in a row the tail has failed. Only Feed.Run uses it.
type restart struct {
	feed     *Feed
	failures int
}

// pause records that the tail failed with cause after it had run for a time, and blocks until its next
// start. It returns an error when ctx ends first.
func (r *restart) pause(ctx context.Context, cause error, ran time.Duration) error {
	if ran >= steadyTail {
		r.failures = 0
	}
	wait := min(firstRestart<<min(r.failures, 10), lastRestart)
	r.failures++
	f := r.feed
	f.tailFailures.Add(1)
	f.opts.Logger.Error("feed: tail failed; restarting", "error", cause, "failures", r.failures, "pause", wait.String())
	f.setLost(&TailError{cause})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// TailError is Status.Lost from a failure of the tail until the stream is reached again.
type TailError struct{ Cause error }

func (e *TailError) Error() string { return "the tail failed; restarting: " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *TailError) Unwrap() error { return e.Cause }
