package tracing_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/internal/tracing"
	"github.com/tidemark/tidemark/internal/tracing/tracestest"
)

const (
	trace1 = "4bf92f3577b34da6a3ce929d0e0e4736"
	trace2 = "5bf92f3577b34da6a3ce929d0e0e4736"
)

// open returns Traces that are closed at the end of the test, or by the returned function.
func openDeliveries(tb testing.TB, opts tracing.Options) (*tracing.Traces, func()) {
	tb.Helper()
	t, err := tracing.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	end := sync.OnceFunc(t.Close)
	tb.Cleanup(end)
	return t, end
}

// hanging is a collector that accepts connections and does not answer.
func hanging(tb testing.TB) (endpoint string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String() + "/v1/traces"
}

func traced(seq uint64, parent string) jetstore.Traced {
	return jetstore.Traced{Seq: seq, Stored: time.Now(), TraceContext: feed.TraceContext{Parent: parent}}
}

func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"":                                  "with its path",
		"127.0.0.1:4318":                    "is not a URL",
		"ftp://127.0.0.1:4318/v1/traces":    "with its path",
		"http://127.0.0.1:4318":             "with its path",
		"http://127.0.0.1:4318/":            "with its path",
		"http://a:b@127.0.0.1:4318/v1":      "OTEL_EXPORTER_OTLP_HEADERS",
		"http://127.0.0.1:4318/v1?token=qq": "OTEL_EXPORTER_OTLP_HEADERS",
	} {
		made, err := tracing.New(tracing.Options{Endpoint: endpoint})
		if err == nil {
			made.Close()
			t.Errorf("%q is taken", endpoint)
		} else if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), ":b@") || strings.Contains(err.Error(), "qq") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// A node without traces has a nil Traces.
func TestOff(t *testing.T) {
	var off *tracing.Traces
	next := http.NewServeMux()
	if off.Events("S") != nil || off.Replayed() != nil || off.Handler("/", next) != http.Handler(next) || off.Publisher(nil) != nil {
		t.Error("it is not free")
	}
}

// A delivery ends with the last client, after the timeout, or with the node.
func TestDeliveries(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Wait: time.Hour})
	events := made.Events("S")

	early := events(traced(1, tracestest.Parent(trace1, "01")))
	early.Sent() // called by a loop before the tail
	early.Enqueued(2)
	early.Sent()
	early.Sent() // a client that reads the event from the window

	cut := events(traced(2, tracestest.Parent(trace2, "01")))
	cut.Enqueued(3)
	cut.Sent()
	end()
	cut.Sent()
	cut.Sent()
	if late := events(traced(3, tracestest.Parent(trace2, "01"))); late != nil {
		late.Enqueued(1)
	}
	for trace, want := range map[string]string{trace1: "2", trace2: "1"} {
		if got := otel.Tree(trace); !slices.Equal(got, []string{"deliver < tail", "tail < publisher"}) {
			t.Errorf("%q", got)
		}
		for _, s := range otel.Spans(trace) {
			if got := tracestest.Attribute(s, "tidemark.delivered"); s.GetName() == "deliver" && got != want {
				t.Errorf("%s: %s were delivered, want %s", trace, got, want)
			}
		}
	}

	made, _ = openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Wait: 20 * time.Millisecond})
	made.Events("S")(traced(4, tracestest.Parent(trace1, "01"))).Enqueued(5)
	testkit.Eventually(t, 20*time.Second, "a delivery that nobody took", func() bool { return len(otel.Spans(trace1)) == 4 })
}

// The clock of the store is ahead of the node's clock.
func TestClocks(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint})
	ev := traced(1, tracestest.Parent(trace1, "01"))
	ev.Stored = time.Now().Add(time.Hour)
	made.Events("S")(ev).Enqueued(0)
	end()
	if got := otel.Tree(trace1); !slices.Equal(got, []string{"tail < publisher"}) {
		t.Errorf("%q", got)
	}
}

// failing is a publisher that fails.
type failing struct{ got []feed.Message }

func (f *failing) Publish(_ context.Context, msgs ...feed.Message) []feed.Result {
	f.got = msgs
	return []feed.Result{{Err: errors.New("full")}}
}

// The trace context passed to a handler and a publisher, and the status after failures.
func TestRequests(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Sample: 1})
	var store failing
	publisher := made.Publisher(&store)
	var inside string
	h := made.Handler("/publish", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside = r.Header.Get("traceparent")
		publisher.Publish(r.Context(), feed.Message{Subject: "a"})
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	req := httptest.NewRequest(http.MethodPost, "/publish", nil) // without a trace of its own, so Options.Sample decides
	h.ServeHTTP(httptest.NewRecorder(), req)
	carried := store.got[0].Trace.Parent
	if inside == "" || len(carried) != 55 || carried[:35] != inside[:35] || req.Header.Get("traceparent") != "" {
		t.Errorf("the log has %q, the message %q, the caller %q", inside, carried, req.Header)
	}

	req.Header.Set("traceparent", tracestest.Parent(trace1, "00"))
	req.Header.Set("tracestate", strings.Repeat("a=b,", 500)+"a=b") // too long, and ignored
	h.ServeHTTP(httptest.NewRecorder(), req)
	if store.got[0].Trace.Parent != "" {
		t.Errorf("nobody samples it: %+v", store.got[0].Trace)
	}
	end()
	for _, s := range otel.Spans("") {
		if s.GetStatus().GetCode() != 2 {
			t.Errorf("%s is no error", s.GetName())
		}
	}
	if got := otel.Tree(""); !slices.Equal(got, []string{"POST /publish < ", "store < POST /publish"}) {
		t.Errorf("%q", got)
	}
}

func TestReplays(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Sample: 0})
	told := made.Replayed()
	if got := told(feedhttp.Replay{Started: time.Now()}); got != (feed.TraceContext{}) {
		t.Errorf("none is sampled: %+v", got)
	}
	got := told(feedhttp.Replay{Started: time.Now(), Trace: feed.TraceContext{Parent: tracestest.Parent(trace1, "01")}})
	if !strings.Contains(got.Parent, trace1) {
		t.Errorf("%+v", got)
	}
	end()
	if got := otel.Tree(""); !slices.Equal(got, []string{"replay < publisher"}) {
		t.Errorf("%q", got)
	}
}

// A client that samples every request gets no more than the limit.
func TestRate(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	const perSecond, all = 10, 20_000
	made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Sample: 1, Rate: perSecond})
	events, replayed := made.Events("S"), made.Replayed()
	began := time.Now()
	for seq := range uint64(all) {
		if ev := events(traced(seq, tracestest.Parent(trace1, "01"))); ev != nil {
			ev.Enqueued(0)
		}
		replayed(feedhttp.Replay{Started: began})
	}
	most := perSecond * (time.Since(began).Seconds() + 1)
	end()
	n, limited := len(otel.Spans("")), made.Status().Limited
	if n == 0 || float64(n) > most || uint64(n)+limited != 2*all {
		t.Errorf("%d spans, at most %g expected; %d were limited", n, most, limited)
	}
}

// The number of spans for a hanging collector, and of open deliveries, is limited.
func TestMemory(t *testing.T) {
	var log bytes.Buffer
	made, end := openDeliveries(t, tracing.Options{Endpoint: hanging(t), Rate: 1 << 30, Flush: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	events := made.Events("S")
	const all = 100_000
	offer := func(n int) {
		for seq := range uint64(n) {
			ev := events(traced(seq, tracestest.Parent(trace1, "01")))
			ev.Enqueued(1)
			ev.Sent()
		}
	}
	offer(5000) // more than the limit
	before := heap()
	offer(all)
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("%d KiB more after %d events", grown>>10, all)
	}
	end()
	s := made.Status()
	if s.Sent != 0 || s.Failed+s.Dropped != 2*(all+5000) || s.Failed > 2048+512 {
		t.Errorf("%+v", s)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, log.String())
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A collector that rejects spans is logged once, and receives later spans.
func TestComesBack(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	otel.Refuses.Store(true)
	var log bytes.Buffer
	made, end := openDeliveries(t, tracing.Options{Endpoint: otel.Endpoint, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	events := made.Events("S")
	offer := func() { events(traced(1, tracestest.Parent(trace1, "01"))).Enqueued(0) }
	offer()
	testkit.Eventually(t, 20*time.Second, "a failure", func() bool { return made.Status().Failed == 1 })
	otel.Refuses.Store(false)
	offer()
	testkit.Eventually(t, 20*time.Second, "a span", func() bool { return made.Status().Sent == 1 })
	otel.Refuses.Store(true)
	offer()
	end()
	if n := strings.Count(log.String(), "tracing: export failed"); n != 1 || made.Status().Failed != 2 {
		t.Errorf("%+v, %d lines:\n%s", made.Status(), n, log.String())
	}
}
