package tracing

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// Events returns a function for jetstore.Options. It continues the traces of events read by the tail.
func (t *Traces) Events(stream string) func(jetstore.Traced) *feed.Trace {
	if t == nil {
		return nil
	}
	return func(ev jetstore.Traced) *feed.Trace {
		if t.full() {
			return nil
		}
		parent := withParent(context.Background(), ev.TraceContext)
		if !trace.SpanContextFromContext(parent).IsSampled() {
			return nil // not sampled, or an invalid traceparent
		}
		e := &event{traces: t, parent: parent, stream: stream, seq: ev.Seq, stored: ev.Stored}
		return &feed.Trace{Enqueued: e.offered, Sent: e.sent}
	}
}

// event traces an event through this node. It has two spans, independent of the number of clients: "tail"
// from the store to the matching subscriptions, and "deliver" until all of them have received it.
type event struct {
	traces *Traces
	parent context.Context
	stream string
	seq    uint64
	stored time.Time

	clients int
	span    trace.Span   // deliver; set before left rises
	left    atomic.Int64 // negative before offered, and if further clients have read the event from the window
	done    atomic.Bool
}

func (e *event) offered(clients int) {
	t, now := e.traces, time.Now()
	start := e.stored
	if start.After(now) { // the clocks of two machines
		start = now
	}
	ctx, tail := t.tracer.Start(e.parent, "tail", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(start),
		asReceive, trace.WithAttributes(attribute.String("messaging.destination.name", e.stream),
			attribute.Int64("tidemark.seq", int64(e.seq)), attribute.Int("tidemark.subscriptions", clients))) //nolint:gosec // sequences are far below
	e.parent = nil
	tail.End(trace.WithTimestamp(now))
	if clients == 0 || !tail.SpanContext().IsSampled() {
		return
	}
	_, e.span = t.tracer.Start(ctx, "deliver", trace.WithTimestamp(now), asDeliver,
		trace.WithAttributes(attribute.String("messaging.destination.name", e.stream), attribute.Int("tidemark.subscriptions", clients)))
	e.clients = clients
	if !t.open.add(e, now) {
		return
	}
	if e.left.Add(int64(clients)) <= 0 {
		e.finish(time.Now())
	}
}

func (e *event) sent() {
	if e.left.Add(-1) == 0 {
		e.finish(time.Now())
	}
}

// finish ends the delivery once.
func (e *event) finish(at time.Time) {
	if !e.done.CompareAndSwap(false, true) {
		return
	}
	e.traces.open.remove(e)
	e.end(at)
}

// end ends the span. The caller has set done.
func (e *event) end(at time.Time) {
	delivered := int64(e.clients) - max(e.left.Load(), 0)
	e.span.SetAttributes(attribute.Int64("tidemark.delivered", delivered))
	e.span.End(trace.WithTimestamp(at))
	e.span = nil // the frame keeps e for as long as it is in the window
}
