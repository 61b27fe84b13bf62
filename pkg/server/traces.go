package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemark/tidemark/pkg/feed"
	"github.com/tidemark/tidemark/pkg/feedhttp"
	"github.com/tidemark/tidemark/pkg/jetlog"
)

// TraceOptions say where the ways of events are told.
type TraceOptions struct {
	// Endpoint is where a collector takes OTLP over HTTP, with its path, such as
	// http://127.0.0.1:4318/v1/traces. Empty is off.
	Endpoint string
	// Sample is the share of publishes, 0 to 1, that are traced where the publisher has not
	// decided; with a traceparent its own word counts.
	Sample float64
}

// traceFlush bounds what the end of the process waits for a collector.
const traceFlush = 3 * time.Second

// traces make spans. Nil makes none, and costs nothing.
type traces struct {
	tracer trace.Tracer
	parent propagation.TraceContext
}

// openTraces registers nothing global: a process may hold several nodes.
func (s *Server) openTraces(ctx context.Context) error {
	opts := s.opts.Traces
	if opts.Endpoint == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(opts.Endpoint))
	if err != nil {
		return fmt.Errorf("traces.endpoint: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(opts.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "tidemark"),
			attribute.String("service.instance.id", s.opts.Node.Name),
			attribute.String("service.version", cmp.Or(s.opts.Node.Version, "unknown")))),
	)
	s.onClose(func() {
		ctx, cancel := context.WithTimeout(context.Background(), traceFlush)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			s.opts.Logger.Warn("some traces were not taken", "error", err)
		}
	})
	s.traces = &traces{tracer: provider.Tracer("github.com/tidemark/tidemark")}
	return nil
}

// handler gives each request a span, below that of its traceparent.
func (t *traces) handler(route string, next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := t.parent.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, r.Method+" "+route, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// publisher stores messages in a span, which it names to who reads them.
func (t *traces) publisher(next feed.Publisher) feed.Publisher {
	if t == nil {
		return next
	}
	return tracedPublisher{t, next}
}

type tracedPublisher struct {
	*traces
	next feed.Publisher
}

func (p tracedPublisher) Publish(ctx context.Context, msgs ...feed.Message) []feed.Result {
	ctx, span := p.tracer.Start(ctx, "store", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(msgs))))
	defer span.End()
	if span.SpanContext().IsSampled() { // else nobody would look at it
		carrier := propagation.MapCarrier{}
		p.parent.Inject(ctx, carrier)
		for i := range msgs {
			msgs[i].Trace = cmp.Or(msgs[i].Trace, carrier["traceparent"])
		}
	}
	results := p.next.Publish(ctx, msgs...)
	for _, result := range results {
		if result.Err != nil {
			span.SetStatus(codes.Error, "not everything was stored")
		}
	}
	return results
}

// tail makes a span of the time between the store and the tail of this node.
func (t *traces) tail(stream string) func(jetlog.Traced) {
	if t == nil {
		return nil
	}
	return func(ev jetlog.Traced) {
		ctx := t.parent.Extract(context.Background(), propagation.MapCarrier{"traceparent": ev.Parent})
		now := time.Now()
		start := ev.Stored
		if start.After(now) { // two clocks
			start = now
		}
		_, span := t.tracer.Start(ctx, "tail", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(start),
			trace.WithAttributes(attribute.String("messaging.destination.name", stream), attribute.Int64("tidemark.seq", int64(ev.Seq)))) //nolint:gosec // sequences are far below
		span.End(trace.WithTimestamp(now))
	}
}

// replayed makes a span of each resume that needed the log, below the client's request. The
// user is left out: whoever reads traces need not know.
func (t *traces) replayed() func(feedhttp.Replay) {
	if t == nil {
		return nil
	}
	return func(r feedhttp.Replay) {
		ctx := t.parent.Extract(context.Background(), propagation.MapCarrier{"traceparent": r.Trace})
		_, span := t.tracer.Start(ctx, "replay", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.Started), trace.WithAttributes(
			attribute.Int64("tidemark.connection", int64(r.ID)), attribute.String("tidemark.feed", r.Feed), attribute.Int("tidemark.events", r.Events), //nolint:gosec // counted from 1
			attribute.String("tidemark.from", r.From.String()), attribute.String("tidemark.to", r.To.String())))
		if !r.Level {
			span.SetStatus(codes.Error, "the stream ended before it was level")
		}
		span.End()
	}
}
