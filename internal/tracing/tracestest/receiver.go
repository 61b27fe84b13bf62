// Package tracestest provides a collector for OTLP over HTTP in tests.
//
//	r := tracestest.NewReceiver(t)
//	t := tracing.New(tracing.Options{Endpoint: r.Endpoint, Sample: 1})
package tracestest

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Publisher is the id of the parent span in Parent.
const Publisher = "00f067aa0ba902b7"

// Parent returns a publisher's traceparent with flags such as 01, "sampled".
func Parent(trace, flags string) string { return "00-" + trace + "-" + Publisher + "-" + flags }

// Receiver stores the received spans.
type Receiver struct {
	Endpoint string
	Refuses  atomic.Bool // answer requests with 400

	mu    sync.Mutex
	spans []*otlp.Span
	about []*common.KeyValue // the latest resource
}

// NewReceiver starts a receiver. It stops at the end of the test.
func NewReceiver(tb testing.TB) *Receiver {
	tb.Helper()
	r := &Receiver{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.Refuses.Load() {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body, err := io.ReadAll(req.Body)
		var export collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &export)
		}
		if err != nil || req.URL.Path != "/v1/traces" {
			tb.Errorf("%s: %v", req.URL.Path, err)
		}
		r.take(&export)
	}))
	tb.Cleanup(srv.Close)
	r.Endpoint = srv.URL + "/v1/traces"
	return r
}

func (r *Receiver) take(export *collector.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		r.about = resource.GetResource().GetAttributes()
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

// Spans returns the spans of a trace, or all spans for "".
func (r *Receiver) Spans(trace string) (spans []*otlp.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if trace == "" || hex.EncodeToString(s.GetTraceId()) == trace {
			spans = append(spans, s)
		}
	}
	return spans
}

// Tree returns the spans of a trace as sorted lines "name < parent's name". A span with its end before
// its start is marked.
func (r *Receiver) Tree(trace string) (lines []string) {
	names := map[string]string{Publisher: "publisher"}
	for _, s := range r.Spans("") {
		names[hex.EncodeToString(s.GetSpanId())] = s.GetName()
	}
	for _, s := range r.Spans(trace) {
		line := fmt.Sprintf("%s < %s", s.GetName(), names[hex.EncodeToString(s.GetParentSpanId())])
		if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() {
			line += " (ends before it begins)"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// Resource returns an attribute of the latest resource, or "none".
func (r *Receiver) Resource(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return attribute(r.about, name)
}

// Attribute returns an attribute of a span as text, or "none".
func Attribute(s *otlp.Span, name string) string { return attribute(s.GetAttributes(), name) }

func attribute(list []*common.KeyValue, name string) string {
	for _, a := range list {
		if a.GetKey() != name {
			continue
		}
		v := a.GetValue()
		switch {
		case v.GetStringValue() != "":
			return v.GetStringValue()
		case v.GetBoolValue():
			return "true"
		}
		return fmt.Sprint(v.GetIntValue())
	}
	return "none"
}
