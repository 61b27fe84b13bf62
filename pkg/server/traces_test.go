package server_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tidemark/tidemark/pkg/server"
	"github.com/tidemark/tidemark/pkg/sse"
)

// receiver takes OTLP over HTTP, as a collector does.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*otlp.Span
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var export collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &export)
		}
		if err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", req.URL.Path, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, resource := range export.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				r.spans = append(r.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// tree is the spans of a trace as "name < parent's name".
func (r *receiver) tree(trace string) (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := map[string]string{"00f067aa0ba902b7": "publisher"}
	for _, s := range r.spans {
		names[hex.EncodeToString(s.GetSpanId())] = s.GetName()
	}
	for _, s := range r.spans {
		if hex.EncodeToString(s.GetTraceId()) == trace && s.GetEndTimeUnixNano() >= s.GetStartTimeUnixNano() {
			lines = append(lines, fmt.Sprintf("%s < %s", s.GetName(), names[hex.EncodeToString(s.GetParentSpanId())]))
		}
	}
	slices.Sort(lines)
	return lines
}

// TestTracesContinue publishes over HTTP and over NATS in traces of the publisher's.
func TestTracesContinue(t *testing.T) {
	otel := newReceiver(t)
	r := newRig(t, func(o *server.Options) { o.Traces.Endpoint = otel.URL + "/v1/traces" })
	parent := func(trace, flags string) string { return "00-" + trace + "-00f067aa0ba902b7-" + flags }
	const (
		byHTTP = "4bf92f3577b34da6a3ce929d0e0e4736"
		byNATS = "5bf92f3577b34da6a3ce929d0e0e4736"
		not    = "6bf92f3577b34da6a3ce929d0e0e4736"
	)
	l := r.listen("/events", "")
	l.want("tidemark.open")
	body := `{"subject":"notifications.broadcast","data":"x"}`
	for _, header := range [][]string{{"traceparent", parent(byHTTP, "01")}, {"traceparent", parent(not, "00")}, nil} {
		if status, answer := r.post("/publish", body, header...); status != http.StatusOK {
			t.Fatal(status, answer)
		}
	}
	for _, header := range []string{parent(byNATS, "01"), parent(not, "00"), "00-rubbish-01"} {
		msg := nats.NewMsg("notifications.broadcast")
		msg.Data = []byte("x")
		msg.Header.Set("traceparent", header)
		if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	l.want("x", "x", "x", "x", "x", "x")
	r.stop() // which flushes
	for trace, want := range map[string][]string{
		byHTTP: {"POST /publish < publisher", "store < POST /publish", "tail < store"},
		byNATS: {"tail < publisher"},
		not:    nil,
	} {
		if got := otel.tree(trace); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", trace, got, want)
		}
	}
	if n := len(otel.spans); n != 4 {
		t.Errorf("%d spans, want 4: what nobody samples has none", n)
	}
}

// TestTraceOfAReplay: one span, with what was replayed, and none for whoever is idle.
func TestTraceOfAReplay(t *testing.T) {
	otel := newReceiver(t)
	r := newRig(t, func(o *server.Options) {
		o.Traces = server.TraceOptions{Endpoint: otel.URL + "/v1/traces", Sample: 1}
		o.Feeds[0].ReplayFromLog = true
	})
	r.publish("notifications.broadcast", 1, 5)
	idle := r.listen("/events", "")
	idle.want("tidemark.open")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.base+"/events?from=all", nil)
	if err != nil {
		t.Fatal(err)
	}
	const id = "7bf92f3577b34da6a3ce929d0e0e4736"
	req.Header.Set("traceparent", "00-"+id+"-00f067aa0ba902b7-01")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	dec := sse.NewDecoder(resp.Body)
	for seen := 0; seen < 6; seen++ { // tidemark.open, and five
		if _, err := dec.Next(); err != nil {
			t.Fatal(err)
		}
	}
	r.publish("notifications.broadcast", 6, 6)
	if ev, err := dec.Next(); err != nil || string(ev.Data) != "6" {
		t.Fatal(ev, err)
	}
	r.stop()
	if got := otel.tree(id); !slices.Equal(got, []string{"replay < publisher"}) {
		t.Errorf("%q", got)
	}
	for _, s := range otel.spans {
		for _, a := range s.GetAttributes() {
			if a.GetKey() == "tidemark.events" && a.GetValue().GetIntValue() != 5 {
				t.Errorf("%v", s)
			}
		}
	}
	if n := len(otel.spans); n != 1 {
		t.Errorf("%d spans, want 1", n)
	}
}
