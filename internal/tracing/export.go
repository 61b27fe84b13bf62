package tracing

import (
	"context"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// waiting bounds the spans in memory that have ended and are not sent, with those on their way. The
// batch processor drops what its queue does not hold, too, but tells nobody.
type waiting struct {
	sdktrace.SpanProcessor
	spans   atomic.Int64
	dropped atomic.Uint64
}

// OnEnd implements sdktrace.SpanProcessor. It never blocks.
func (w *waiting) OnEnd(s sdktrace.ReadOnlySpan) {
	if w.spans.Add(1) > maxWaiting {
		w.spans.Add(-1)
		w.dropped.Add(1)
		return
	}
	w.SpanProcessor.OnEnd(s)
}

func (w *waiting) left(n int) { w.spans.Add(int64(-n)) }

// quiet is how long the log is spared another line about a collector that fails.
const quiet = time.Minute

// exporter keeps what fails from OpenTelemetry's global handler, which writes a line for each batch
// to the standard error. The batch processor calls ExportSpans from one goroutine.
type exporter struct {
	sdktrace.SpanExporter
	opts         Options
	disconnect   func()
	taken        func(spans int)
	sent, failed atomic.Uint64

	ending  context.Context // done when nothing more is waited for
	end     context.CancelFunc
	timer   *time.Timer
	failing bool
	told    time.Time
	lost    uint64 // since the log was told
}

func newExporter(to sdktrace.SpanExporter, disconnect func(), opts Options) *exporter {
	e := &exporter{SpanExporter: to, opts: opts, disconnect: disconnect}
	e.ending, e.end = context.WithCancel(context.Background())
	return e
}

// ExportSpans implements sdktrace.SpanExporter. It has no errors to tell.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	defer e.taken(len(spans))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ending, cancel)()
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		e.failed.Add(uint64(len(spans)))
	} else {
		e.sent.Add(uint64(len(spans)))
	}
	e.tell(err, len(spans))
	return nil
}

func (e *exporter) tell(err error, spans int) {
	switch {
	case err != nil:
		e.failing = true
		e.lost += uint64(spans) //nolint:gosec // a length
		if !e.told.IsZero() && time.Since(e.told) < quiet {
			return
		}
		e.told = time.Now()
		e.opts.Logger.Warn("the collector takes no traces; see traces.endpoint", "endpoint", e.opts.Endpoint, "spans", e.lost, "error", err)
		e.lost = 0
	case e.failing:
		e.failing = false
		e.opts.Logger.Debug("the collector takes traces again", "lost", e.lost)
	}
}

// endBy has exports fail from a time on.
func (e *exporter) endBy(wait time.Duration) { e.timer = time.AfterFunc(wait, e.end) }

func (e *exporter) close() {
	e.timer.Stop()
	e.end()
	e.disconnect()
}
