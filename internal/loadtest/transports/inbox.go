package transports

import (
	"context"
	"errors"
	"fmt"
)

// delivery is a message, a heartbeat, or the end.
type delivery struct {
	message   message
	heartbeat bool
	err       error
}

var errHeartbeat = errors.New("a heartbeat arrived and an event was expected")

// check compares a delivery with the expected message; nil expects a heartbeat.
func (d delivery) check(want *message) error {
	switch {
	case d.err != nil:
		return d.err
	case want == nil && !d.heartbeat:
		return fmt.Errorf("event %q arrived and none was expected", d.message.ID)
	case want == nil:
		return nil
	case d.heartbeat:
		return errHeartbeat
	}
	return d.message.check(*want)
}

// inbox passes deliveries from a client to the goroutine that drives the exchange.
type inbox chan delivery

// expect waits for a delivery and checks it.
func (b inbox) expect(ctx context.Context, want *message) error {
	d, err := receive(ctx, b)
	if err != nil {
		return err
	}
	return d.check(want)
}

// send passes a value to the goroutine that waits for it.
func send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// receive waits for a value.
func receive[T any](ctx context.Context, from <-chan T) (v T, err error) {
	select {
	case v = <-from:
		return v, nil
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}
