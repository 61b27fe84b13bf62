package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemark/tidemark/internal/feed"
)

// Handler traces each request with a span below that of its traceparent. If the span is sampled, next also
// receives it in the header traceparent, for the log.
func (t *Traces) Handler(route string, next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := withParent(r.Context(), feed.TraceContext{Parent: r.Header.Get("traceparent"), State: r.Header.Get("tracestate")})
		ctx, span := t.tracer.Start(ctx, r.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("http.route", route)))
		if !span.IsRecording() {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		answer := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		defer answer.tell(span)
		r = r.Clone(ctx) // the header is the caller's
		r.Header.Set("traceparent", contextOf(ctx).Parent)
		next.ServeHTTP(answer, r)
	})
}

// answer records the status.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (a *statusRecorder) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap supports http.ResponseController.
func (a *statusRecorder) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *statusRecorder) tell(span trace.Span) {
	span.SetAttributes(attribute.Int("http.response.status_code", a.status))
	if a.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Publisher wraps a publisher with a span for each publish. The messages contain the trace context for
// their readers.
func (t *Traces) Publisher(next feed.Publisher) feed.Publisher {
	if t == nil {
		return next
	}
	return publisher{t, next}
}

type publisher struct {
	*Traces
	next feed.Publisher
}

// Publish implements feed.Publisher.
func (p publisher) Publish(ctx context.Context, msgs ...feed.Message) []feed.Result {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return p.next.Publish(ctx, msgs...) // not sampled
	}
	ctx, span := p.tracer.Start(ctx, "store", trace.WithSpanKind(trace.SpanKindProducer),
		asPublish, trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(msgs))))
	defer span.End()
	carried := contextOf(ctx)
	for i := range msgs {
		msgs[i].Trace = carried
	}
	results := p.next.Publish(ctx, msgs...)
	recordResults(span, results)
	return results
}

func recordResults(span trace.Span, results []feed.Result) {
	failed := 0
	for _, r := range results {
		if r.Err != nil {
			failed++
		}
	}
	if failed > 0 {
		span.SetStatus(codes.Error, "some events were not stored")
		span.SetAttributes(attribute.Int("tidemark.failed", failed))
		return
	}
	if len(results) > 0 {
		last := results[len(results)-1].Ack
		span.SetAttributes(attribute.String("messaging.destination.name", last.Stream))
		if !last.Sourced {
			span.SetAttributes(attribute.String("tidemark.position", last.Position.String()))
		}
	}
}
