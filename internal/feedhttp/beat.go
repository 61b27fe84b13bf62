package feedhttp

import (
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/sse"
)

// firstBeat is when a stream that still waits for the log gives its first sign of life.
const firstBeat = time.Second

// appendBeatLocked appends a heartbeat when one is due: the position where it has moved, so
// that a quiet client does not fall out of retention, else a comment.
func (s *session) appendBeatLocked(dst []byte, turn engine.WriteTurn) ([]byte, error) {
	if idle := s.handler.opts.MaxIdle; idle > 0 && turn.Now.Sub(s.event) >= idle {
		return dst, errIdle
	}
	if turn.Now.Before(s.beatLocked(turn.Written)) {
		return dst, nil
	}
	dst = s.beginLocked(dst)
	at, moved := s.positionLocked()
	if !moved && (!s.visible || s.sub == nil) {
		return sse.AppendComment(dst, ""), nil
	}
	s.sent = at
	return s.position(dst, at), nil
}

// beatLocked is when a heartbeat is due after a write.
func (s *session) beatLocked(written time.Time) time.Time {
	if written.IsZero() {
		return s.start.Add(min(firstBeat, s.handler.opts.Heartbeat))
	}
	return written.Add(s.handler.opts.Heartbeat)
}

func (s *session) positionLocked() (at feed.Position, moved bool) {
	if s.sub == nil {
		return feed.Position{}, false
	}
	at = s.sub.Position()
	if at.Epoch != s.sent.Epoch || at.Seq <= s.sent.Seq {
		return s.sent, false // the other incarnation is told by its gap
	}
	return at, true
}

// dueLocked is when Append has something to do though nothing happens.
func (s *session) dueLocked(turn engine.WriteTurn, writing bool) time.Time {
	written := turn.Written
	if writing {
		written = turn.Now
	}
	due := s.beatLocked(written)
	due = s.nextDeadline(due, turn.Now)
	if idle := s.handler.opts.MaxIdle; idle > 0 && s.event.Add(idle).Before(due) {
		due = s.event.Add(idle)
	}
	return due
}
