package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

// Replayed returns a function for feedhttp.SubscribeOptions. It records each replay as a span below the
// client's request. The span does not contain the user, for privacy.
func (t *Traces) Replayed() func(feedhttp.Replay) feed.TraceContext {
	if t == nil {
		return nil
	}
	return func(r feedhttp.Replay) feed.TraceContext {
		ctx, span := t.tracer.Start(withParent(context.Background(), r.Trace), "replay", asReplay, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.Started))
		if !span.IsRecording() {
			return feed.TraceContext{}
		}
		span.SetAttributes(
			attribute.Int64("tidemark.connection", int64(r.ID)), attribute.String("tidemark.feed", r.Feed), attribute.Bool("tidemark.resume", r.First), //nolint:gosec // counted from 1
			attribute.String("tidemark.from", r.From.String()), attribute.String("tidemark.to", r.To.String()), attribute.Int("tidemark.events", r.Events))
		if !r.CaughtUp {
			span.SetStatus(codes.Error, "the connection ended before it was caught up")
		}
		span.End()
		return contextOf(ctx)
	}
}
