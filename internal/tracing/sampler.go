package tracing

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemark/tidemark/internal/feed"
)

// sampler decides once for what this node begins, or continues of others; below that the same holds.
// The bound comes after what callers say, since anybody may set their flag.
type sampler struct {
	*Traces
	begin sdktrace.Sampler // where the caller has not decided
}

func (t *Traces) sampler() sampler { return sampler{t, sdktrace.TraceIDRatioBased(t.opts.Sample)} }

// Description implements sdktrace.Sampler.
func (s sampler) Description() string { return "Tidemark" }

// ShouldSample implements sdktrace.Sampler.
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	wanted := parent.IsSampled()
	if !parent.IsValid() {
		wanted = s.begin.ShouldSample(p).Decision == sdktrace.RecordAndSample
	}
	begins := !parent.IsValid() || parent.IsRemote()
	if wanted && begins && !s.limit.Allow() {
		s.limited.Add(1)
		wanted = false
	}
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	if wanted {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// full says that nothing more would be sampled now, for less than it takes to read a traceparent.
func (t *Traces) full() bool {
	full := t.limit.Tokens() < 1
	if full {
		t.limited.Add(1)
	}
	return full
}

// maxState bounds a tracestate: W3C Trace Context wants 512 bytes passed on, and spans keep it.
const maxState = 512

// under returns ctx below what a caller says of its trace. What cannot be read is left out.
func under(ctx context.Context, parent feed.TraceContext) context.Context {
	if parent.Parent == "" {
		return ctx
	}
	carrier := propagation.MapCarrier{"traceparent": parent.Parent}
	if len(parent.State) <= maxState {
		carrier["tracestate"] = parent.State
	}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}

// contextOf is what is told to others of the span in ctx.
func contextOf(ctx context.Context) feed.TraceContext {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return feed.TraceContext{Parent: carrier["traceparent"], State: carrier["tracestate"]}
}
