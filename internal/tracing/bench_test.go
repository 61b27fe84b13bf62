package tracing_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/tracing"
	"github.com/tidemark/tidemark/internal/tracing/tracestest"
)

// The measured shares; a negative share means without traces.
var shares = map[string]float64{"off": -1, "0.01": 0.01, "1": 1}

// benchTraces has no limit of traces per second, which would hide the cost of a trace. The limit of unsent
// spans applies.
func benchTraces(b *testing.B, share float64) *tracing.Traces {
	if share < 0 {
		return nil
	}
	t, _ := openDeliveries(b, tracing.Options{Endpoint: tracestest.NewReceiver(b).Endpoint, Sample: share, Rate: 1 << 30})
	return t
}

type storesAll struct{}

func (storesAll) Publish(_ context.Context, msgs ...feed.Message) []feed.Result {
	return make([]feed.Result, len(msgs))
}

// BenchmarkPublish measures a publish over HTTP with traces: two spans.
func BenchmarkPublish(b *testing.B) {
	for name, share := range shares {
		b.Run(name, func(b *testing.B) {
			t := benchTraces(b, share)
			publisher := t.Publisher(storesAll{})
			h := t.Handler("/publish", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				publisher.Publish(r.Context(), feed.Message{Subject: "a"})
			}))
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/publish", nil)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkEvent measures a sampled event with 1,000 clients: two spans, and a count for each client.
func BenchmarkEvent(b *testing.B) {
	events := benchTraces(b, 1).Events("S")
	b.ReportAllocs()
	for b.Loop() {
		ev := events(traced(1, tracestest.Parent(trace1, "01")))
		ev.Enqueued(1000)
		for range 1000 {
			ev.Sent()
		}
	}
}

// BenchmarkLimited measures a sampled event beyond the rate limit.
func BenchmarkLimited(b *testing.B) {
	t, _ := openDeliveries(b, tracing.Options{Endpoint: tracestest.NewReceiver(b).Endpoint, Rate: 1})
	events, ev := t.Events("S"), traced(1, tracestest.Parent(trace1, "01"))
	b.ReportAllocs()
	for b.Loop() {
		if told := events(ev); told != nil {
			told.Enqueued(0)
		}
	}
}

// BenchmarkReplayed measures a replay with traces: one span.
func BenchmarkReplayed(b *testing.B) {
	for name, share := range shares {
		if share < 0 {
			continue
		}
		b.Run(name, func(b *testing.B) {
			told, now := benchTraces(b, share).Replayed(), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				told(feedhttp.Replay{Started: now, CaughtUp: true, Events: 10})
			}
		})
	}
}
