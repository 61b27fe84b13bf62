package feedhttp

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// who are the fields by which the log's lines about one stream are found.
func (s *session) who() []any {
	return withTrace([]any{"id", s.id, "user", s.user, "remote", s.remote}, idOf(s.trace))
}

// logEndLocked writes the one line that a stream has in the log, with what it got. There is
// none for its begin, and none for an event: a storm would bury everything else.
func (s *session) logEndLocked() {
	fields := append(s.who(), "proto", protoText(s.proto), "reason", endReason(s.ended), "detail", s.ended,
		"events", s.events, "bytes", s.bytes)
	if s.opened {
		opening := s.sub.Opening()
		fields = append(fields, "replayed", min(uint64(s.events), opening.Pending), "from", opening.Position.String(), "to", s.sent.String()) //nolint:gosec // a count is never negative
	}
	fields = append(fields, "duration", time.Since(s.start).Round(time.Millisecond).String())
	s.handler.opts.Logger.Log(context.Background(), s.endLevel(), "stream ended", fields...)
}

// endLevel is at what level the end of a stream is logged. Who comes too often would write
// the log full, too.
func (s *session) endLevel() slog.Level {
	if errors.Is(s.ended, errRate) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// protoOf is a byte where the request's own text would keep its head in memory.
func protoOf(r *http.Request) uint8 { return uint8(r.ProtoMajor*10 + r.ProtoMinor) } //nolint:gosec // 10, 11 or 20

func protoText(proto uint8) string {
	return "HTTP/" + strconv.Itoa(int(proto/10)) + "." + strconv.Itoa(int(proto%10))
}

func withTrace(fields []any, id string) []any {
	if id == "" {
		return fields
	}
	return append(fields, "trace_id", id)
}

// traceID is that of the header traceparent; empty without one that can be read.
func traceID(h http.Header) string { return idOf(traceParent(h)) }

func idOf(parent string) string {
	if parent == "" {
		return ""
	}
	return parent[3:35]
}

// traceParent is the header traceparent (W3C Trace Context: 00-TRACE-PARENT-FLAGS), without
// what later versions add; empty where it cannot be read. Strangers send it: nothing but hex
// digits gets into the log.
func traceParent(h http.Header) string {
	parent := h.Get("traceparent")
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
