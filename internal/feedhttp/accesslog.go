package feedhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// who appends the fields by which the log's lines about one stream are found. Fields with types cost no
// memory of their own, and a storm begins with as many ends.
func (s *session) who(fields []slog.Attr) []slog.Attr {
	fields = append(fields, slog.Uint64("id", s.id), slog.String("user", s.user), slog.String("remote", s.remote))
	return withTrace(fields, s.traceID())
}

// logEndLocked writes the one line that a stream has in the log, with what it got. There is
// none for its begin, and none for an event: a storm would bury everything else. Beyond endLines a
// second ends are counted, and the next line that is written has their number.
func (s *session) logEndLocked() {
	level := s.endLevel()
	if !s.handler.opts.Logger.Enabled(context.Background(), level) {
		return
	}
	unlogged, ok := s.handler.ends.allow(endLines)
	if !ok {
		return
	}
	var most [17]slog.Attr
	fields := append(s.who(most[:0]), slog.String("proto", protoText(s.proto)), slog.String("reason", endReason(s.ended)), slog.Any("detail", s.ended),
		slog.Int("events", s.events), slog.Int64("bytes", s.bytes))
	if s.opened {
		opening := s.sub.StartInfo()
		fields = append(fields, slog.Uint64("replayed", min(uint64(s.events), opening.Pending)), //nolint:gosec // a count is never negative
			slog.String("from", opening.Position.String()), slog.String("to", s.sent.String()))
	}
	fields = append(fields, slog.String("duration", time.Since(s.start).Round(time.Millisecond).String()))
	if unlogged > 0 {
		fields = append(fields, slog.Int("unlogged", unlogged)) // ends before this one, in a storm of them
	}
	s.handler.opts.Logger.LogAttrs(context.Background(), level, "stream ended", fields...)
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
