package feedhttp

import (
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/tidemark/tidemark/internal/feed"
)

// maxTraceState is the longest tracestate that is kept. W3C Trace Context requires that so much is passed
// on, and permits to drop more; it is kept as long as the connection.
const maxTraceState = 512

// traceOf returns the trace that a request is part of; nil for none.
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

// traceIDOf returns the trace id of a traceparent; empty if it is too short.
func traceIDOf(parent string) string {
	if len(parent) < 35 {
		return ""
	}
	return parent[3:35]
}

// traceParent returns the header traceparent (W3C Trace Context: 00-TRACE-PARENT-FLAGS), without the
// additions of later versions; empty if it is not valid. It is not trusted: only hexadecimal digits
// reach the log.
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
