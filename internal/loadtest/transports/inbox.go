package transports

import (
	"context"
	"errors"
	"fmt"
)

// inbox takes what a client's reader finds to the one that drives the exchange.
type inbox chan arrival

// arrival is a message, a sign of life, or the end.
type arrival struct {
	message message
	beat    bool
	err     error
}

// put hands over an arrival, and says whether there is still someone who wants it.
func (b inbox) put(ctx context.Context, a arrival) bool {
	select {
	case b <- a:
		return true
	case <-ctx.Done():
		return false
	}
}

func (b inbox) next(ctx context.Context) (arrival, error) {
	select {
	case a := <-b:
		return a, a.err
	case <-ctx.Done():
		return arrival{}, context.Cause(ctx)
	}
}

func (b inbox) wantBeat(ctx context.Context) error {
	a, err := b.next(ctx)
	if err == nil && !a.beat {
		err = fmt.Errorf("event %q arrived where none was due", a.message.ID)
	}
	return err
}

var errBeat = errors.New("a sign of life arrived where an event was due")

func (b inbox) want(ctx context.Context, due message) error {
	a, err := b.next(ctx)
	switch {
	case err != nil:
		return err
	case a.beat:
		return errBeat
	}
	return a.message.is(due)
}

// hand gives a value to the handler that waits for it.
func hand[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take waits for a value of the handler.
func take[T any](ctx context.Context, from <-chan T) (v T, err error) {
	select {
	case v = <-from:
		return v, nil
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}
