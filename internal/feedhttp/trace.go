package feedhttp

import (
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/tidemark/tidemark/internal/feed"
)

// maxTraceState is what is kept of a tracestate. W3C Trace Context wants at least so much passed
// on, and allows that more is dropped; it is kept for as long as the stream lasts.
const maxTraceState = 512

// traceOf is the trace that a request is part of; nil for none.
func traceOf(h http.Header) *feed.TraceContext {
	parent := traceParent(h)
	if parent == "" {
		return nil
	}
	trace := &feed.TraceContext{Parent: parent}
	if state := h.Get("Tracestate"); len(state) <= maxTraceState {
		trace.State = strings.Clone(state)
	}
	return trace
}

func (s *session) traceID() string {
	if s.trace == nil {
		return ""
	}
	return idOf(s.trace.Parent)
}

// traceID is that of the header traceparent; empty without one that can be read.
func traceID(h http.Header) string { return idOf(traceParent(h)) }

func idOf(parent string) string {
	if len(parent) < 35 {
		return ""
	}
	return parent[3:35]
}

// traceParent is the header traceparent (W3C Trace Context: 00-TRACE-PARENT-FLAGS), without
// what later versions add; empty where it cannot be read. Strangers send it: nothing but hex
// digits gets into the log.
func traceParent(h http.Header) string {
	parent := h.Get("Traceparent")
	if len(parent) < 55 || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' || parent[:2] == "ff" ||
		len(parent) > 55 && (parent[:2] == "00" || parent[55] != '-') {
		return ""
	}
	id := parent[3:35]
	if _, err := hex.DecodeString(parent[:2] + id + parent[36:52] + parent[53:55]); err != nil || id != strings.ToLower(id) || strings.Trim(id, "0") == "" {
		return ""
	}
	return strings.Clone(parent[:55]) // the head is not kept for it
}
