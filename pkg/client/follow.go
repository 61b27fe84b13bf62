package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/tidemark/tidemark/pkg/sse"
)

// Follow yields the events of a feed in order, and reconnects when a connection ends.
//
// It ends when ctx ends, when the caller breaks, or when a reconnect would fail in the same way.
// Unless the caller breaks, it yields the reason last, with a zero Event: the cause of ctx, a
// *ResponseError, an *sse.TooLargeError, an error with a *tls.CertificateVerificationError, or an error
// of Options.URL or Options.State.
//
// With Options.UntilEnd it also ends, without an error, when all subjects are complete and their
// events were yielded.
//
// Follow blocks while there are no events. It saves the position of an event when the loop requests
// the next event. A caller that has handled an event and then breaks has to save its position
// itself, with State.Save(ev.ID).
func Follow(ctx context.Context, opts Options) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		f := &follower{Options: opts.withDefaults(), yield: yield}
		if err := f.run(ctx); err != errBreak && err != errComplete {
			yield(Event{}, err)
		}
	}
}

// errBreak ends the loop when the caller breaks out of it.
var errBreak = errors.New("the caller broke out of the loop")

// errComplete ends the loop when all subjects are complete.
var errComplete = errors.New("all subjects are complete")

// finalError ends the loop without a reconnect.
type finalError struct{ error }

func (f finalError) Unwrap() error { return f.error }

type follower struct {
	Options
	yield    func(Event, error) bool
	feed     *url.URL
	decoder  *sse.Decoder
	backoff  backoff
	position string        // the last id that the caller has handled
	minWait  time.Duration // from the server, for the reconnect after the latest connection
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

// session runs one connection. It always returns an error.
func (f *follower) session(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dog := newWatchdog(f.IdleTimeout, cancel)
	defer dog.disarm()
	f.minWait = 0
	start, before := time.Now(), f.position
	err := f.readEvents(ctx, dog)
	if f.position != before || time.Since(start) > f.MaxBackoff {
		f.backoff.reset() // the connection worked, so this is a new failure
	}
	if context.Cause(ctx) == ErrIdle {
		f.HTTPClient.CloseIdleConnections() // HTTP/2 would use the dead socket again
	}
	return err
}

func (f *follower) readEvents(ctx context.Context, dog *watchdog) error {
	body, err := f.connect(ctx, f.feed, f.position, dog)
	if err != nil {
		return f.connectError(ctx, err)
	}
	defer func() { _ = body.Close() }()
	f.decoder.Reset(body)
	for {
		ev, err := f.decoder.Next()
		if err != nil {
			return readError(ctx, err)
		}
		if err := f.handle(ctx, ev); err != nil {
			return err
		}
	}
}

func (f *follower) connectError(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return finalError{err} // a reconnect receives the same certificate
	}
	resp, ok := errors.AsType[*ResponseError](err)
	if !ok {
		return readError(ctx, err)
	}
	if f.UntilEnd && resp.StatusCode == http.StatusNoContent {
		return finalError{errComplete}
	}
	if !resp.Temporary() {
		return finalError{err}
	}
	f.minWait = resp.RetryAfter
	return err
}

// readError returns the reason for the end of a connection. For a cancelled read that is the cause
// of the context.
func readError(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*sse.TooLargeError](err); ok {
		return finalError{err}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == io.EOF {
		return errors.New("the server closed the connection")
	}
	return err
}

// handle yields an event to the caller and then saves its position.
func (f *follower) handle(ctx context.Context, wire sse.Event) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ev := Event{Type: wire.Type, ID: cmp.Or(string(wire.ID), f.position), Data: bytes.Clone(wire.Data)}
	ev.classify()
	if ev.Close != nil {
		f.minWait = time.Duration(ev.Close.RetryMS) * time.Millisecond
	}
	if ev.Type != positionType && !f.yield(ev, nil) {
		return finalError{errBreak}
	}
	if err := f.advance(ev.ID); err != nil {
		return err
	}
	if f.UntilEnd && ev.Close.complete() {
		return finalError{errComplete}
	}
	return nil
}

// advance saves the position if it changed. The id of an event without one is the current position.
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

// wait reports the disconnect and blocks until the next attempt.
func (f *follower) wait(ctx context.Context, reason error) error {
	retry, _ := f.decoder.Retry()
	wait := f.backoff.next(max(retry, f.minWait))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.OnDisconnect(reason, wait)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait):
		return nil
	}
}
