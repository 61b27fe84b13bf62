package tracing

import (
	"context"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// waiting limits the number of ended spans in memory, including those being sent. The batch processor
// also drops spans when its queue is full, but does not count them.
type spanQueue struct {
	sdktrace.SpanProcessor
	spans   atomic.Int64
	dropped atomic.Uint64
}

// OnEnd implements sdktrace.SpanProcessor. It never blocks.
func (w *spanQueue) OnEnd(s sdktrace.ReadOnlySpan) {
	if w.spans.Add(1) > maxWaiting {
		w.spans.Add(-1)
		w.dropped.Add(1)
		return
	}
	w.SpanProcessor.OnEnd(s)
}

func (w *spanQueue) left(n int) { w.spans.Add(int64(-n)) }

// quiet is the minimum interval between log messages about a failing collector.
const logInterval = time.Minute

// exporter counts and logs failures. OpenTelemetry's global handler would write a line to the standard error
// for each batch. The batch processor calls ExportSpans from one goroutine.
type exporter struct {
	sdktrace.SpanExporter
	opts         Options
	disconnect   func()
	onDone       func(spans int)
	sent, failed atomic.Uint64

	ending     context.Context // cancels running exports
	end        context.CancelFunc
	timer      *time.Timer
	failing    bool
	lastLogged time.Time
	lost       uint64 // since the last log message
}

func newExporter(to sdktrace.SpanExporter, disconnect func(), opts Options) *exporter {
	e := &exporter{SpanExporter: to, opts: opts, disconnect: disconnect}
	e.ending, e.end = context.WithCancel(context.Background())
	return e
}

// ExportSpans implements sdktrace.SpanExporter. It always returns nil.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	defer e.onDone(len(spans))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ending, cancel)()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		e.failed.Add(uint64(len(spans)))
	} else {
		e.sent.Add(uint64(len(spans)))
	}
	e.logResult(err, len(spans))
	return nil
}

func (e *exporter) logResult(err error, spans int) {
	switch {
	case err != nil:
		e.failing = true
		e.lost += uint64(spans) //nolint:gosec // a length
		if !e.lastLogged.IsZero() && time.Since(e.lastLogged) < logInterval {
			return
		}
		e.lastLogged = time.Now()
		e.opts.Logger.Warn("tracing: export failed; dropping spans", "endpoint", e.opts.Endpoint, "spans", e.lost, "error", err, "remedy", "check traces.endpoint")
		e.lost = 0
	case e.failing:
		e.failing = false
		e.opts.Logger.Debug("trace export succeeded again", "lost", e.lost)
	}
}

// endBy cancels exports after a delay.
func (e *exporter) endBy(wait time.Duration) { e.timer = time.AfterFunc(wait, e.end) }

func (e *exporter) close() {
	e.timer.Stop()
	e.end()
	e.disconnect()
}
