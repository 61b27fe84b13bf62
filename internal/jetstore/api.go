package jetstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// Error codes of JetStream that decide what is done next, from the server's errors.json.
const (
	errNoConsumer   = 10014
	errMaxConsumers = 10026
	errNoMessage    = 10037
	errNoStream     = 10059
)

// errNoAnswer is a request that ran into Options.RequestTimeout.
var errNoAnswer = errors.New("no answer from JetStream (an operation that is not permitted looks the same)")

// failure is the part that all API responses share.
type failure struct {
	Error *jetstream.APIError `json:"error"`
}

func (f failure) err() error {
	if f.Error == nil {
		return nil
	}
	return f.Error
}

// api is the JetStream API as raw requests. It is not used through the jetstream package,
// because one reading of errors serves all requests, and because decoding only the fields
// that matter keeps a STREAM.INFO for each batch cheap.
type api struct {
	nc      *nats.Conn
	prefix  string // with the dot
	timeout time.Duration
	link    *link // when it changes, answers are no longer waited for
}

// request asks once. Errors name the operation, which names the stream.
func (a api) request(ctx context.Context, op string, req any, resp interface{ err() error }) error {
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return err
		}
	}
	msg, err := a.ask(ctx, a.prefix+op, body)
	if err == nil {
		err = decode(msg.Data, resp)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

func decode(body []byte, resp interface{ err() error }) error {
	if err := json.Unmarshal(body, resp); err != nil {
		return fmt.Errorf("cannot read the response: %w", err)
	}
	err := resp.err()
	if isAPIError(err, errNoStream) {
		return feed.ErrNoStream
	}
	return err
}

func (a api) ask(ctx context.Context, subject string, body []byte) (*nats.Msg, error) {
	bounded, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	link := a.link.current()
	defer context.AfterFunc(link, cancel)()
	msg, err := a.nc.RequestWithContext(bounded, subject, body)
	switch {
	case err == nil:
		return msg, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, context.Canceled):
		return nil, context.Cause(link)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, errNoAnswer
	}
	return nil, err
}

// unclear reports that a request may have been carried out though it failed.
func unclear(err error) bool { return errors.Is(err, errNoAnswer) || errors.Is(err, errLink) }

func isAPIError(err error, code jetstream.ErrorCode) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == code
}

// permanent reports that asking again the same way gives the same answer.
func permanent(err error) bool {
	for _, end := range []error{ErrClosed, feed.ErrNoStream, nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrBadSubject, nats.ErrMaxPayload} {
		if errors.Is(err, end) {
			return true
		}
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.Code < 500 && api.ErrorCode != errMaxConsumers
}

// retry calls try until it succeeds, fails for good, or ctx ends.
func (l *Store) retry(ctx context.Context, try func() error) error {
	for attempt := 0; ; attempt++ {
		changed := l.link.changed()
		if err := l.link.err(); err != nil {
			return err
		}
		err := try()
		if err == nil || permanent(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.logRetry(err)
		if err := pause(ctx, backoff(attempt), changed); err != nil {
			return err
		}
	}
}

// logRetry leaves out requests that fail as there is no connection, of which [Connect] logs.
func (l *Store) logRetry(err error) {
	if NotConnected(err) {
		return
	}
	if n, ok := l.retries.allow(); ok {
		l.opts.Logger.Warn("JetStream is asked again", "error", err, "times", n)
	}
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
