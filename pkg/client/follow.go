package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"time"

	"github.com/tidemark/tidemark/pkg/sse"
)

// Follow yields the events of a feed, in the server's order, through any number of
// connections, until ctx ends, the caller breaks, or going on is no use. Before it ends by
// itself it yields the reason once, with a zero Event: the cause of ctx, a *ResponseError,
// an *sse.TooLargeError, or an error of Options.URL or Options.State.
//
// It blocks while nothing comes. The position of an event is saved when the caller asks for
// the next one; a caller that is done with an event and breaks saves it itself, with
// State.Save(ev.ID).
func Follow(ctx context.Context, opts Options) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &follower{Options: opts.withDefaults(), yield: yield}
		if err := f.run(ctx); err != errBreak {
			yield(Event{}, err)
		}
	}
}

// errBreak ends the loop when the caller breaks out of it.
var errBreak = errors.New("the caller broke out of the loop")

// finalError is an error after which there is no reconnect.
type finalError struct{ error }

func (f finalError) Unwrap() error { return f.error }

type follower struct {
	Options
	yield    func(Event, error) bool
	feed     *url.URL
	decoder  *sse.Decoder
	backoff  backoff
	position string        // the last id that the caller has handled
	asked    time.Duration // how long the connection that ended told us to wait
}

func (f *follower) run(ctx context.Context) error {
	if err := f.begin(); err != nil {
		return err
	}
	for {
		err := f.session(ctx)
		if stop, ok := errors.AsType[finalError](err); ok {
			return stop.error
		}
		if err := f.wait(ctx, err); err != nil {
			return err
		}
	}
}

func (f *follower) begin() (err error) {
	if f.feed, err = f.feedURL(); err != nil {
		return err
	}
	if f.position, err = f.State.Load(); err != nil {
		return err
	}
	f.backoff = newBackoff(f.MinBackoff, f.MaxBackoff)
	f.decoder = sse.NewDecoder(nil)
	f.decoder.MaxEventSize = f.MaxEventSize
	return nil
}

// session is one connection. It always ends with an error.
func (f *follower) session(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := newWatchdog(f.IdleTimeout, cancel)
	defer dog.disarm()
	f.asked = 0
	begun, before := time.Now(), f.position
	err := f.stream(ctx, dog)
	if f.position != before || time.Since(begun) > f.MaxBackoff {
		f.backoff.reset() // it worked; what ended it is a new failure
	}
	if context.Cause(ctx) == ErrIdle {
		f.HTTPClient.CloseIdleConnections() // HTTP/2 would use the dead connection again
	}
	return err
}

func (f *follower) stream(ctx context.Context, dog *watchdog) error {
	body, err := f.connect(ctx, f.feed, f.position, dog)
	if err != nil {
		return f.refused(ctx, err)
	}
	defer func() { _ = body.Close() }()
	f.decoder.Reset(body)
	for {
		ev, err := f.decoder.Next()
		if err != nil {
			return ended(ctx, err)
		}
		if err := f.handle(ctx, ev); err != nil {
			return err
		}
	}
}

func (f *follower) refused(ctx context.Context, err error) error {
	resp, ok := errors.AsType[*ResponseError](err)
	if !ok {
		return ended(ctx, err)
	}
	if !resp.Temporary() {
		return finalError{err}
	}
	f.asked = resp.RetryAfter
	return err
}

// ended says why a stream is over. A read that was cancelled knows less than the context.
func ended(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*sse.TooLargeError](err); ok {
		return finalError{err}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == io.EOF {
		return errors.New("the server ended the stream")
	}
	return err
}

// handle gives an event to the caller and then takes its position.
func (f *follower) handle(ctx context.Context, wire sse.Event) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ev := Event{Type: wire.Type, ID: cmp.Or(string(wire.ID), f.position), Data: bytes.Clone(wire.Data)}
	ev.classify()
	if ev.Close != nil {
		f.asked = time.Duration(ev.Close.RetryMS) * time.Millisecond
	}
	if ev.Type != positionType && !f.yield(ev, nil) {
		return finalError{errBreak}
	}
	return f.advance(ev.ID)
}

// advance saves a position that moved. An event without an id, or with an empty one, says
// nothing about what the caller has.
func (f *follower) advance(id string) error {
	if id == f.position {
		return nil
	}
	if err := checkPosition(id); err != nil {
		return finalError{fmt.Errorf("event id %q cannot be a position: %w", id, err)}
	}
	if err := f.State.Save(id); err != nil {
		return finalError{err}
	}
	f.position = id
	return nil
}

// wait is what stands between two connections.
func (f *follower) wait(ctx context.Context, why error) error {
	retry, _ := f.decoder.Retry()
	wait := f.backoff.next(max(retry, f.asked))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.OnDisconnect(why, wait)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait):
		return nil
	}
}
