package transports

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// transport is both ends of a way to get events. One caller drives both, so that each
// exchange is over when the method returns.
type transport interface {
	// The handler is the reference endpoint.
	http.Handler
	// connect makes the client ready for events. ctx lasts as long as the client.
	connect(ctx context.Context, w *wire, h http.Header) error
	// beat is what happens when nothing happens, once.
	beat(ctx context.Context) error
	// event sends one event and takes it at the client.
	event(ctx context.Context, due message) error
	// close ends the client and what the transport started, and waits for it.
	close()
}

// exchangeTimeout bounds an exchange on loopback, which takes far below a millisecond: what
// takes longer has come to a stop.
const exchangeTimeout = 20 * time.Second

func (c course) run(ctx context.Context, o Options) (Row, error) {
	w, err := listen(ctx, c.transport)
	if err != nil {
		return Row{}, err
	}
	defer w.close()
	defer c.transport.close()
	if err := c.connect(ctx, w, o); err != nil {
		return Row{}, err
	}
	return c.measure(ctx, w, o)
}

var errStuck = fmt.Errorf("an exchange on loopback was not over after %v", exchangeTimeout)

// connect bounds the time without a deadline in the context, which the client keeps.
func (c course) connect(ctx context.Context, w *wire, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(exchangeTimeout, func() { cancel(errStuck) })
	defer timer.Stop()
	return c.transport.connect(ctx, w, browser(w.url, o.Cookie))
}

func (c course) measure(ctx context.Context, w *wire, o Options) (Row, error) {
	connected, err := w.settled(ctx)
	if err != nil {
		return Row{}, err
	}
	beats := c.beats(o.Idle)
	if err := c.idle(ctx, beats); err != nil {
		return Row{}, err
	}
	idled, err := w.settled(ctx)
	if err != nil {
		return Row{}, err
	}
	if err := c.events(ctx, o); err != nil {
		return Row{}, err
	}
	done, err := w.settled(ctx)
	if err != nil {
		return Row{}, err
	}
	idle, events := idled.minus(connected).per(beats), done.minus(idled).per(o.Events)
	return c.row(connected, idle, events, o.Events), c.nothingLeft(ctx)
}

// beats is the number of whole periods that cover the span.
func (c course) beats(span time.Duration) int {
	return int(max(1, (span+c.period-1)/c.period))
}

func (c course) idle(ctx context.Context, beats int) error {
	for range beats {
		if err := wait(ctx, c.period); err != nil {
			return err
		}
		if err := exchange(ctx, c.transport.beat); err != nil {
			return err
		}
	}
	return nil
}

func (c course) events(ctx context.Context, o Options) error {
	for n := range o.Events {
		if err := wait(ctx, o.Interval); err != nil {
			return err
		}
		err := exchange(ctx, func(ctx context.Context) error {
			return c.transport.event(ctx, newMessage(n+1, o.Payload))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// nothingLeft makes one more exchange: an event that came twice would be found in its place.
func (c course) nothingLeft(ctx context.Context) error {
	return exchange(ctx, c.transport.beat)
}

// row makes a row of what it cost to connect, what a beat costs, and what an event costs.
func (c course) row(connect, beat, event usage, events int) Row {
	if c.polls { // the poll itself is in the idle figure
		event = event.minus(beat)
	}
	minute := beat.times(float64(time.Minute) / float64(c.period))
	return Row{
		Transport: c.name, Delay: c.delay, Events: events, ConnectBytes: connect.bytes,
		IdleBytesPerMinute: minute.bytes, IdlePacketsPerMinute: minute.packets(), IdleWireBytesPerMinute: minute.wire(),
		BytesPerEvent: event.bytes, PacketsPerEvent: event.packets(), WireBytesPerEvent: event.wire(),
	}
}

func exchange(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, exchangeTimeout, errStuck)
	defer cancel()
	return do(ctx)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
