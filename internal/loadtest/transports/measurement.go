package transports

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// transport is a way to receive events, with both ends. One caller drives both, so that an exchange
// has ended when the method returns.
type transport interface {
	// The handler is the reference endpoint.
	http.Handler
	// connect makes the client ready for events. ctx lasts as long as the client.
	connect(ctx context.Context, w *endpoint, h http.Header) error
	// exchange sends one event and receives it at the client. Without an event it makes one exchange
	// of an idle connection.
	exchange(ctx context.Context, m *message) error
	// close ends the client and the goroutines of the transport, and waits for them.
	close()
}

// exchangeTimeout bounds an exchange on loopback, which takes far less than a millisecond.
const exchangeTimeout = 20 * time.Second

func (m measurement) run(ctx context.Context, o Options) (Row, error) {
	w, err := listen(ctx, m.transport)
	if err != nil {
		return Row{}, err
	}
	defer w.close()
	defer m.transport.close()
	if err := m.connect(ctx, w, o); err != nil {
		return Row{}, err
	}
	return m.measure(ctx, w, o)
}

var errExchangeTimeout = fmt.Errorf("an exchange on loopback did not end within %v", exchangeTimeout)

// connect has no deadline in the context, because the client keeps it.
func (m measurement) connect(ctx context.Context, w *endpoint, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(exchangeTimeout, func() { cancel(errExchangeTimeout) })
	defer timer.Stop()
	return m.transport.connect(ctx, w, browserHeaders(w.url, o.Cookie))
}

func (m measurement) measure(ctx context.Context, w *endpoint, o Options) (Row, error) {
	connected, err := w.waitUntilIdle(ctx)
	if err != nil {
		return Row{}, err
	}
	periods := m.periodCount(o.Idle)
	if err := m.idle(ctx, periods); err != nil {
		return Row{}, err
	}
	idled, err := w.waitUntilIdle(ctx)
	if err != nil {
		return Row{}, err
	}
	if err := m.events(ctx, o); err != nil {
		return Row{}, err
	}
	done, err := w.waitUntilIdle(ctx)
	if err != nil {
		return Row{}, err
	}
	idle, events := idled.minus(connected).per(periods), done.minus(idled).per(o.Events)
	// A repeated event makes one more exchange fail.
	return m.row(connected, idle, events, o.Events), m.exchange(ctx, nil)
}

// periodCount is the number of whole periods that cover the span.
func (m measurement) periodCount(span time.Duration) int {
	return int(max(1, (span+m.period-1)/m.period))
}

func (m measurement) idle(ctx context.Context, periods int) error {
	for range periods {
		if err := wait(ctx, m.period); err != nil {
			return err
		}
		if err := m.exchange(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func (m measurement) events(ctx context.Context, o Options) error {
	for n := range o.Events {
		if err := wait(ctx, o.Interval); err != nil {
			return err
		}
		event := newMessage(n+1, o.Payload)
		if err := m.exchange(ctx, &event); err != nil {
			return err
		}
	}
	return nil
}

// row returns the row for the traffic of the connect, of a heartbeat, and of an event.
func (m measurement) row(connect, heartbeat, event usage, events int) Row {
	if m.polls { // the poll itself is in the idle figure
		event = event.minus(heartbeat)
	}
	minute := heartbeat.times(float64(time.Minute) / float64(m.period))
	return Row{
		Transport: m.name, Delay: m.delay, Events: events, ConnectBytes: connect.bytes,
		IdleBytesPerMinute: minute.bytes, IdlePacketsPerMinute: minute.packets(), IdleWireBytesPerMinute: minute.wire(),
		BytesPerEvent: event.bytes, PacketsPerEvent: event.packets(), WireBytesPerEvent: event.wire(),
	}
}

func (m measurement) exchange(ctx context.Context, event *message) error {
	ctx, cancel := context.WithTimeoutCause(ctx, exchangeTimeout, errExchangeTimeout)
	defer cancel()
	return m.transport.exchange(ctx, event)
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
