package client

import (
	"context"
	"io"
	"time"
)

// watchdog cancels a request with ErrIdle after a timeout without a byte. It is armed only during
// reads, because the caller may take any time to handle an event.
type watchdog struct {
	timeout time.Duration
	timer   *time.Timer
}

// newWatchdog returns an armed watchdog, for the wait for the response.
func newWatchdog(timeout time.Duration, cancel context.CancelCauseFunc) *watchdog {
	if timeout < 0 {
		return &watchdog{}
	}
	return &watchdog{timeout, time.AfterFunc(timeout, func() { cancel(ErrIdle) })}
}

func (w *watchdog) arm() {
	if w.timer != nil {
		w.timer.Reset(w.timeout)
	}
}

func (w *watchdog) disarm() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watchedBody arms the watchdog during each read of a response body.
type watchedBody struct {
	io.ReadCloser
	dog *watchdog
}

func (b watchedBody) Read(p []byte) (int, error) {
	b.dog.arm()
	defer b.dog.disarm()
	return b.ReadCloser.Read(p)
}

func (b watchedBody) Close() error {
	b.dog.disarm()
	return b.ReadCloser.Close()
}
