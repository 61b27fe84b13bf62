package feedhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// who are the fields by which the log's lines about one stream are found.
func (s *session) who() []any {
	return withTrace([]any{"id", s.id, "user", s.user, "remote", s.remote}, s.traceID())
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
