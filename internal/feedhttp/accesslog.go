package feedhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// logFields appends the fields that the log lines about one connection share. Typed fields allocate
// nothing, and a reconnect storm begins with as many ends.
func (s *session) logFields(fields []slog.Attr) []slog.Attr {
	fields = append(fields, slog.Uint64("id", s.id), slog.String("user", s.user), slog.String("remote", s.remote))
	if s.trace == nil {
		return fields
	}
	return withTrace(fields, traceIDOf(s.trace.Parent))
}

// logEndLocked writes the one log line of a connection. Connects and events are
// not logged: a reconnect storm would hide everything else. Beyond endLines a second ends are counted,
// and the next line has their number.
func (s *session) logEndLocked() {
	level := slog.LevelInfo
	if errors.Is(s.closeErr, errRate) || s.page != nil {
		level = slog.LevelDebug // clients that connect often would fill the log
	}
	if !s.handler.opts.Logger.Enabled(context.Background(), level) {
		return
	}
	unlogged, ok := s.handler.ends.allow(endLines)
	if !ok {
		return
	}
	var most [17]slog.Attr
	fields := append(s.logFields(most[:0]), slog.String("proto", protoText(s.proto)), slog.String("reason", endReason(s.closeErr)), slog.Any("detail", s.closeErr),
		slog.Int("events", s.sent.events), slog.Int64("bytes", s.sent.bytes))
	if s.output == outputOpen {
		opening := s.sub.StartInfo()
		fields = append(fields, slog.Uint64("replayed", min(uint64(s.sent.events), opening.Pending)), //nolint:gosec // a count is never negative
			slog.String("from", opening.Position.String()), slog.String("to", s.sent.position.String()))
	}
	fields = append(fields, slog.String("duration", time.Since(s.start).Round(time.Millisecond).String()))
	if unlogged > 0 {
		fields = append(fields, slog.Int("unlogged", unlogged)) // ends before this one, in a storm of them
	}
	s.handler.opts.Logger.LogAttrs(context.Background(), level, "connection closed", fields...)
}

// protoOf returns the protocol as a byte: the text of the request would keep its head in memory.
func protoOf(r *http.Request) uint8 { return uint8(r.ProtoMajor*10 + r.ProtoMinor) } //nolint:gosec // 10, 11 or 20

func protoText(proto uint8) string {
	if proto == 11 { // nearly all
		return "HTTP/1.1"
	}
	return "HTTP/" + strconv.Itoa(int(proto/10)) + "." + strconv.Itoa(int(proto%10))
}

func withTrace(fields []slog.Attr, id string) []slog.Attr {
	if id == "" {
		return fields
	}
	return append(fields, slog.String("trace_id", id))
}
