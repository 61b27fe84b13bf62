package tracing

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemark/tidemark/internal/feed"
)

// sampler decides once per trace that this node begins or continues; child spans follow that decision. The
// rate limit also applies to traces sampled by the caller, because every client can set the flag.
type sampler struct {
	*Traces
	begin sdktrace.Sampler // if the caller has not decided
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

// full reports whether the rate limit is reached. The check is cheaper than parsing a traceparent.
func (t *Traces) full() bool {
	full := t.limit.Tokens() < 1
	if full {
		t.limited.Add(1)
	}
	return full
}

// maxState is the maximum size of a tracestate, in bytes. W3C Trace Context requires 512 bytes to be passed
// on, and spans keep it in memory.
const maxState = 512

// under returns ctx with the caller's trace as the parent. It ignores invalid values.
func withParent(ctx context.Context, parent feed.TraceContext) context.Context {
	if parent.Parent == "" {
		return ctx
	}
	carrier := propagation.MapCarrier{"traceparent": parent.Parent}
	if len(parent.State) <= maxState {
		carrier["tracestate"] = parent.State
	}
	return propagation.TraceContext{}.Extract(ctx, carrier)
}

// contextOf returns the trace context of the span in ctx, to be passed on.
func contextOf(ctx context.Context) feed.TraceContext {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return feed.TraceContext{Parent: carrier["traceparent"], State: carrier["tracestate"]}
}
