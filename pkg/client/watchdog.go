package client

import (
	"context"
	"io"
	"time"
)

// watchdog cancels a request with ErrIdle when it waits too long for a byte. It is armed
// only while something waits: what the caller does with an event may take any time.
type watchdog struct {
	timeout time.Duration
	timer   *time.Timer
}

// newWatchdog returns a watchdog that is armed: the wait for the response begins.
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

// watchedBody is a response body under a watchdog.
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
