// Package tracestest takes OTLP over HTTP in tests, as a collector does.
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

// Publisher is the id of the span that Parent names.
const Publisher = "00f067aa0ba902b7"

// Parent is a publisher's traceparent with flags such as 01, which is "sampled".
func Parent(trace, flags string) string { return "00-" + trace + "-" + Publisher + "-" + flags }

// Receiver keeps the spans that it is sent.
type Receiver struct {
	Endpoint string
	Refuses  atomic.Bool // what comes is answered 400

	mu    sync.Mutex
	spans []*otlp.Span
	about []*common.KeyValue // the resource that came last
}

// NewReceiver takes spans until the test ends.
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

// Spans are those of a trace, or all of them for "".
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

// Tree is the spans of a trace as "name < parent's name", in the order of these. A span that ends
// before it begins is marked.
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

// Resource is an attribute of the resource that sent spans last; "none" for none.
func (r *Receiver) Resource(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return attribute(r.about, name)
}

// Attribute is that of a span as text; "none" for none.
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
