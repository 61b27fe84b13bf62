package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/admin"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// drainPhase is the progress of a drain:
//
//	serving ──▶ announced ──▶ closing ──▶ the process ends
//	   ▲            │            │
//	   └────────────┴────────────┘ POST /admin/undrain, unless the process is stopping
//
// SIGTERM and POST /admin/drain both lead from serving to announced.
type drainPhase uint8

const (
	serving drainPhase = iota
	// announced: /readyz answers 503 and new connections receive tidemark.close, while open
	// connections and publishers are served. It lasts HTTPOptions.DrainDelay, so that a load
	// balancer sees the 503 before the node refuses anything.
	announced
	// closing: the open connections are closed one by one over SSEOptions.DrainPeriod.
	closing
)

// drainer drains the node for operators ([admin.Drainer]) and at the end of the process. Its methods are safe for
// concurrent use.
type drainer struct {
	handlers  []*feedhttp.Subscribe
	admission *feedhttp.Admission
	logger    *slog.Logger
	period    time.Duration // SSEOptions.DrainPeriod

	mu       sync.Mutex
	delay    time.Duration // HTTPOptions.DrainDelay
	phase    drainPhase
	since    time.Time   // when the phase announced began
	timer    *time.Timer // ends the phase announced; nil while the phase is serving
	stopping bool        // the process ends, and the drain cannot be cancelled
}

func (d *drainer) draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.phase != serving
}

// Status implements admin.Drainer.
func (d *drainer) Status() admin.Drain {
	d.mu.Lock()
	defer d.mu.Unlock()
	connections, _ := d.admission.Counts()
	status := admin.Drain{
		Draining: d.phase != serving, Closing: d.phase == closing, Stopping: d.stopping,
		DelayMS: d.delay.Milliseconds(), PeriodMS: d.period.Milliseconds(), Connections: connections,
	}
	if status.Draining {
		since := d.since
		status.Since = &since
	}
	return status
}

// Start implements admin.Drainer. It takes the node out of service, and closes its connections after the delay.
func (d *drainer) Start() (started bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.startLocked()
}

func (d *drainer) startLocked() (started bool) {
	if d.phase != serving {
		return false
	}
	d.phase, d.since = announced, time.Now()
	for _, h := range d.handlers {
		h.AnnounceDrain()
	}
	if d.delay <= 0 {
		d.closeLocked()
		return true
	}
	d.timer = time.AfterFunc(d.delay, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.phase == announced {
			d.closeLocked()
		}
	})
	return true
}

func (d *drainer) closeLocked() {
	d.phase = closing
	for _, h := range d.handlers {
		h.StartDrain(d.period)
	}
}

// Cancel implements admin.Drainer.
func (d *drainer) Cancel() (cancelled bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.stopping:
		return false, admin.ErrStopping
	case d.phase == serving:
		return false, nil
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.phase, d.timer = serving, nil
	for _, h := range d.handlers {
		h.EndDrain()
	}
	return true, nil
}

// stop drains the node at the end of the process. It blocks for the rest of the delay and then until the
// connections have ended, at most for the period and the timeout. It continues a drain that an operator began,
// without a second delay. atOnce skips the delay.
func (d *drainer) stop(atOnce bool, timeout time.Duration) {
	d.mu.Lock()
	d.stopping = true
	d.startLocked()
	left := max(d.delay-time.Since(d.since), 0)
	if atOnce {
		left = 0
	}
	d.mu.Unlock()
	connections, _ := d.admission.Counts()
	d.logger.Info("draining", "connections", connections, "delay", left.Round(time.Millisecond).String(), "period", d.period.String(), "timeout", timeout.String())
	time.Sleep(left)
	d.mu.Lock()
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.phase == announced {
		d.closeLocked()
	}
	d.mu.Unlock()
	d.wait(timeout)
}

// wait blocks until all connections have ended, at most for the period and the timeout.
func (d *drainer) wait(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d.period+timeout)
	defer cancel()
	var drains sync.WaitGroup
	for _, h := range d.handlers {
		drains.Go(func() {
			if err := h.Drain(ctx, d.period); err != nil {
				d.logger.Warn("drain: connections have not ended in time; disconnecting them", "error", err)
			}
		})
	}
	drains.Wait()
}
