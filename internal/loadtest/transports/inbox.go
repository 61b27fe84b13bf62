package transports

import (
	"context"
	"errors"
	"fmt"
)

// inbox passes what a client reads to the goroutine that drives the exchange.
type inbox chan delivery

// delivery is a message, a heartbeat, or the end.
type delivery struct {
	message   message
	heartbeat bool
	err       error
}

func (b inbox) receive(ctx context.Context) (delivery, error) {
	d, err := receive(ctx, b)
	return d, errors.Join(err, d.err)
}

func (b inbox) expectHeartbeat(ctx context.Context) error {
	d, err := b.receive(ctx)
	if err == nil && !d.heartbeat {
		err = fmt.Errorf("event %q arrived and none was expected", d.message.ID)
	}
	return err
}

var errHeartbeat = errors.New("a heartbeat arrived and an event was expected")

func (b inbox) expectEvent(ctx context.Context, want message) error {
	d, err := b.receive(ctx)
	switch {
	case err != nil:
		return err
	case d.heartbeat:
		return errHeartbeat
	}
	return d.message.check(want)
}

// send passes a value to the handler that waits for it.
func send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// receive waits for a value of the handler.
func receive[T any](ctx context.Context, from <-chan T) (v T, err error) {
	select {
	case v = <-from:
		return v, nil
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}
