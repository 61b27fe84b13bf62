package jetstore

import (
	"context"
	"errors"

	"github.com/tidemark/tidemark/internal/backoff"

	"github.com/tidemark/tidemark/internal/jsapi"

	"github.com/tidemark/tidemark/internal/natsconn"
)

// retry calls try until it succeeds, fails for good, or ctx ends.
func (l *Store) retry(ctx context.Context, try func() error) error {
	for attempt := 0; ; attempt++ {
		changed := l.api.Watcher.Changed()
		if err := l.api.Watcher.Err(); err != nil {
			return err
		}
		err := try()
		if err == nil || endsRetries(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.logRetry(err)
		if err := backoff.Pause(ctx, backoff.Delay(attempt), changed); err != nil {
			return err
		}
	}
}

// logRetry leaves out requests that fail as there is no connection, of which [Connect] logs.
func (l *Store) logRetry(err error) {
	if natsconn.NotConnected(err) {
		return
	}
	if n, ok := l.retries.allow(); ok {
		l.opts.Logger.Warn("JetStream is asked again", "error", err, "times", n)
	}
}

// endsRetries reports that another attempt gives the same error.
func endsRetries(err error) bool { return errors.Is(err, ErrClosed) || jsapi.Permanent(err) }
