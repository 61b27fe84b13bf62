package server_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/internal/tracing/tracestest"
	"github.com/tidemark/tidemark/pkg/sse"
)

// Traces of publishers.
const (
	trace1 = "4bf92f3577b34da6a3ce929d0e0e4736"
	trace2 = "5bf92f3577b34da6a3ce929d0e0e4736"
	trace3 = "6bf92f3577b34da6a3ce929d0e0e4736"
)

// send stores an event over NATS with headers, as a traced publisher does.
func (r *harness) send(subject, data string, header ...string) {
	r.t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(data)
	for i := 0; i+1 < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	if _, err := r.js.PublishMsg(r.t.Context(), msg); err != nil {
		r.t.Fatal(err)
	}
}

// TestTraces_Traceparent_IsContinued publishes over HTTP and over NATS within traces of the publisher.
func TestTraces_Traceparent_IsContinued(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	r := newHarness(t, func(o *server.Options) { o.Traces.Endpoint = otel.Endpoint })
	l := r.listen("/events", "")
	l.want("tidemark.open")
	body := `{"subject":"notifications.broadcast","data":"x"}`
	for _, header := range [][]string{{"traceparent", tracestest.Parent(trace1, "01"), "tracestate", "shop=7"}, {"traceparent", tracestest.Parent(trace3, "00")}, nil} {
		if status, answer := r.post("/publish", body, header...); status != http.StatusOK {
			t.Fatal(status, answer)
		}
	}
	r.send("notifications.broadcast", "x", "traceparent", tracestest.Parent(trace2, "01"))
	r.send("notifications.broadcast", "x", "Traceparent", tracestest.Parent(trace2, "03")) // as over HTTP
	for _, header := range []string{
		tracestest.Parent(trace3, "00"), "00-rubbish-01", strings.ToUpper(tracestest.Parent(trace3, "01")), tracestest.Parent(trace3, "01") + "-x",
		tracestest.Parent(strings.Repeat("0", 32), "01"), "ff" + tracestest.Parent(trace3, "01")[2:], strings.Repeat("1", 1<<10),
	} {
		r.send("notifications.broadcast", "x", "traceparent", header)
	}
	for range 12 {
		l.want("x")
	}
	r.stop() // flushes the spans
	for trace, want := range map[string][]string{
		trace1: {"POST /publish < publisher", "deliver < tail", "store < POST /publish", "tail < store"},
		trace2: {"deliver < tail", "deliver < tail", "tail < publisher", "tail < publisher"},
		trace3: nil,
	} {
		if got := otel.Tree(trace); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", trace, got, want)
		}
	}
	if n := len(otel.Spans("")); n != 8 {
		t.Errorf("%d spans, want 8: unsampled and invalid traceparents have none", n)
	}
	for _, s := range otel.Spans(trace1) {
		if s.GetTraceState() != "shop=7" {
			t.Errorf("%s has the tracestate %q", s.GetName(), s.GetTraceState())
		}
	}
}

// TestTraces_Delivery_HasSpans expects one span for all clients, with counts, and none without clients.
func TestTraces_Delivery_HasSpans(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	r := newHarness(t, func(o *server.Options) { o.Traces.Endpoint = otel.Endpoint })
	var listeners []*listener
	for _, user := range []string{"anna", "anna", "anna", "bob"} {
		l := r.listen("/events?user="+user, "")
		l.want("tidemark.open")
		listeners = append(listeners, l)
	}
	r.send("notifications.user.anna", "1", "traceparent", tracestest.Parent(trace1, "01"))
	r.send("notifications.user.nobody", "2", "traceparent", tracestest.Parent(trace2, "01"))
	r.send("notifications.broadcast", "3")
	for _, l := range listeners[:3] {
		l.want("1", "3")
	}
	listeners[3].want("3")
	late := r.listen("/events?user=anna&from=all", "") // from the window: the event was not enqueued for it
	late.want("tidemark.open", "1", "3")
	r.stop()
	if got := otel.Tree(trace1); !slices.Equal(got, []string{"deliver < tail", "tail < publisher"}) {
		t.Errorf("%q", got)
	}
	if got := otel.Tree(trace2); !slices.Equal(got, []string{"tail < publisher"}) {
		t.Errorf("%q", got)
	}
	wantAttributes(t, otel.Spans(trace1), "tail", "tidemark.subscriptions", "3", "tidemark.seq", "1", "messaging.destination.name", "NOTIFICATIONS")
	wantAttributes(t, otel.Spans(trace1), "deliver", "tidemark.subscriptions", "3", "tidemark.delivered", "3")
	wantAttributes(t, otel.Spans(trace2), "tail", "tidemark.subscriptions", "0")
}

func wantAttributes(t *testing.T, spans []*otlp.Span, name string, want ...string) {
	t.Helper()
	for _, s := range spans {
		for i := 0; s.GetName() == name && i+1 < len(want); i += 2 {
			if got := tracestest.Attribute(s, want[i]); got != want[i+1] {
				t.Errorf("%s: %s is %s, want %s", name, want[i], got, want[i+1])
			}
		}
	}
}

// TestTraces_StoredBeforeStart_HaveNone checks that a starting node records no spans for the stored events that it
// reads.
func TestTraces_StoredBeforeStart_HaveNone(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	first := startNode(t, options(t, url))
	first.connect(url)
	first.awaitReady()
	for range 10 {
		first.send("notifications.broadcast", "x", "traceparent", tracestest.Parent(trace1, "01"))
	}
	opts := options(t, url)
	opts.Traces.Endpoint = otel.Endpoint
	second := startNode(t, opts)
	second.awaitReady()
	first.send("notifications.broadcast", "y", "traceparent", tracestest.Parent(trace2, "01"))
	second.eventually("y is read before the client connects", func() bool {
		var health health.Report
		_, raw := get(t, second.base+"/readyz", "")
		return json.Unmarshal(raw, &health) == nil && health.Windows["NOTIFICATIONS"].Last == 11
	})
	l := second.listen("/events?from=all", "")
	l.want("tidemark.open", "x", "x", "x", "x", "x", "x", "x", "x", "x", "x", "y")
	second.stop()
	if got := otel.Tree(""); !slices.Equal(got, []string{"tail < publisher"}) {
		t.Errorf("%q", got)
	}
}

// TestTraces_Replay_HasASpan expects one span with the number of replayed events, and none for idle connections.
// The log names its trace, though the client's request had none.
func TestTraces_Replay_HasASpan(t *testing.T) {
	otel := tracestest.NewReceiver(t)
	var log testkit.Log
	r := newHarness(t, func(o *server.Options) {
		o.Traces = server.TraceOptions{Endpoint: otel.Endpoint, Sample: 1}
		o.Feeds[0].ReplayFromStore = true
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	r.publish("notifications.broadcast", 1, 5)
	idle := r.listen("/events", "")
	idle.want("tidemark.open")
	own := r.listen("/events?from=all", "")
	own.want("tidemark.open", "1", "2", "3", "4", "5")
	resp := r.open("/events?from=all", "traceparent", tracestest.Parent(trace1, "01"))
	dec := sse.NewDecoder(resp.Body)
	for range 6 { // tidemark.open, and five events
		if _, err := dec.Next(); err != nil {
			t.Fatal(err)
		}
	}
	r.publish("notifications.broadcast", 6, 6)
	if ev, err := dec.Next(); err != nil || string(ev.Data) != "6" {
		t.Fatal(ev, err)
	}
	own.want("6")
	r.stop()
	if got := otel.Tree(trace1); !slices.Equal(got, []string{"replay < publisher"}) {
		t.Errorf("%q", got)
	}
	wantAttributes(t, otel.Spans(""), "replay", "tidemark.events", "5", "tidemark.resume", "true", "tidemark.feed", "notifications")
	if got := otel.Tree(""); !slices.Equal(got, []string{"replay < ", "replay < publisher"}) {
		t.Errorf("%q", got)
	}
	for _, s := range otel.Spans("") {
		if line := fmt.Sprintf("trace_id=%x", s.GetTraceId()); strings.Count(log.String(), line) != 1 {
			t.Errorf("want %s once in the log:\n%s", line, log.String())
		}
	}
}

// open opens a connection with headers. It ends with the test.
func (r *harness) open(path string, header ...string) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// TestTraces_CollectorIsDown_ServesAsBefore has a collector that refuses connections or does not answer. No client
// waits, no event is lost, and the log has a line.
func TestTraces_CollectorIsDown_ServesAsBefore(t *testing.T) {
	for name, listen := range map[string]func(net.Listener){
		"down":  func(l net.Listener) { _ = l.Close() },
		"hangs": func(net.Listener) {}, // the kernel accepts connections, and no program answers
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			listen(l)
			noCollector(t, "http://"+l.Addr().String()+"/v1/traces")
		})
	}
}

func noCollector(t *testing.T, endpoint string) {
	const events = 4000 // more than the queue of spans holds
	var log testkit.Log
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Traces = server.TraceOptions{Endpoint: endpoint, Rate: 1 << 20}
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	l := r.listen("/events", "")
	l.want("tidemark.open")
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := 1; i <= events; i++ {
			msg := nats.NewMsg("notifications.broadcast")
			msg.Data = fmt.Append(nil, i)
			msg.Header.Set("traceparent", tracestest.Parent(trace1, "01"))
			if err := r.nc.PublishMsg(msg); err != nil {
				t.Error(err)
			}
		}
	})
	l.wantNumbers(1, events)
	sending.Wait()
	status, answer := r.post("/publish", `{"subject":"notifications.broadcast","data":"x"}`, "traceparent", tracestest.Parent(trace2, "01"))
	if status != http.StatusOK {
		t.Error(status, answer)
	}
	l.want("x")
	s := r.scrape(r.admin("/metrics"))
	sent, lost := s.value(`trace_spans_total{result="sent"}`), s.value(`trace_spans_total{result="failed"}`)+s.value(`trace_spans_total{result="dropped"}`)
	if sent != 0 || lost < events-2048 {
		t.Errorf("sent %g spans, lost %g", sent, lost)
	}
	r.stop()
	if n := strings.Count(log.String(), "tracing: export failed"); n != 1 {
		t.Errorf("%d lines about the collector in\n%s", n, log.String())
	}
}
