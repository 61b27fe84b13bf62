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

// Shares that are measured; below zero is without traces.
var shares = map[string]float64{"off": -1, "0.01": 0.01, "1": 1}

// benchTraces has no bound of traces a second, which would hide what each costs; that of spans that
// wait holds.
func benchTraces(b *testing.B, share float64) *tracing.Traces {
	if share < 0 {
		return nil
	}
	t, _ := open(b, tracing.Options{Endpoint: tracestest.NewReceiver(b).Endpoint, Sample: share, Rate: 1 << 30})
	return t
}

type storesAll struct{}

func (storesAll) Publish(_ context.Context, msgs ...feed.Message) []feed.Result {
	return make([]feed.Result, len(msgs))
}

// BenchmarkPublish is what traces add to a publish over HTTP: two spans.
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

// BenchmarkEvent is what traces add to an event that is sampled, with 1,000 clients: two spans, and a
// count for each client.
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

// BenchmarkLimited is an event that says that it is sampled, beyond the bound.
func BenchmarkLimited(b *testing.B) {
	t, _ := open(b, tracing.Options{Endpoint: tracestest.NewReceiver(b).Endpoint, Rate: 1})
	events, ev := t.Events("S"), traced(1, tracestest.Parent(trace1, "01"))
	b.ReportAllocs()
	for b.Loop() {
		if told := events(ev); told != nil {
			told.Enqueued(0)
		}
	}
}

// BenchmarkReplayed is what traces add to a replay: one span.
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
