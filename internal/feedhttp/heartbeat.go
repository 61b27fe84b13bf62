package feedhttp

import (
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/pkg/sse"
)

// firstHeartbeat is when a connection that waits for the store receives its first bytes.
const firstHeartbeat = time.Second

// appendHeartbeatLocked appends a heartbeat when one is due: the position where it has moved, so
// that the position of a client without events does not expire, else a comment.
func (s *session) appendHeartbeatLocked(dst []byte, turn engine.Turn) ([]byte, error) {
	if idle := s.handler.opts.MaxIdle; idle > 0 && turn.Now.Sub(s.idle.since) >= idle {
		return dst, errIdle
	}
	if turn.Now.Before(s.heartbeatAt(turn.Written)) {
		return dst, nil
	}
	dst = s.appendRetryLocked(dst)
	if s.sub == nil {
		return sse.AppendComment(dst, ""), nil
	}
	// A position of another incarnation of the stream is announced by its gap alone.
	at := s.sub.Position()
	moved := at.Epoch == s.sent.position.Epoch && at.Seq > s.sent.position.Seq
	if moved {
		s.sent.position = at
	}
	if !moved && !s.heartbeatEvents {
		return sse.AppendComment(dst, ""), nil
	}
	return s.position(dst, s.sent.position), nil
}

// heartbeatAt returns when a heartbeat is due after a write; the zero time is before the first write.
func (s *session) heartbeatAt(written time.Time) time.Time {
	if written.IsZero() {
		return s.start.Add(min(firstHeartbeat, s.handler.opts.Heartbeat))
	}
	return written.Add(s.handler.opts.Heartbeat)
}
