package feedhttp

import (
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
)

// replayRoom is how much of a replay is handed to the engine at a time, and so about what a client that
// does not read leaves there: the rest of one write, which ends with a whole event.
const replayRoom = 16 << 10

// Append implements engine.Source.
func (s *session) Append(dst []byte, turn engine.WriteTurn) ([]byte, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read != nil {
		s.read.discard = false
	}
	s.idle.confirm(turn.Written)
	start := len(dst)
	if s.page != nil {
		dst, due, err := s.appendPageLocked(dst, turn)
		s.handler.counts.wrote(turn, len(dst)-start)
		return dst, due, err
	}
	err := s.closeErr
	if err == nil {
		err = s.deadlines.passed(turn.Now)
	}
	if err == nil && s.sub != nil {
		dst, err = s.appendEventsLocked(dst, turn)
	}
	if err == nil && len(dst) == start {
		dst, err = s.appendHeartbeatLocked(dst, turn)
	}
	if err != nil {
		s.closeLocked(err)
		dst = s.appendCloseEventLocked(dst)
	}
	s.handler.counts.wrote(turn, len(dst)-start)
	return dst, s.nextTurnLocked(turn, len(dst) > start), err
}

// appendEventsLocked appends tidemark.open, and events while there is room.
func (s *session) appendEventsLocked(dst []byte, turn engine.WriteTurn) ([]byte, error) {
	room := turn.Room
	if s.replay != nil {
		room = min(room, replayRoom)
	}
	limit := len(dst) + room
	if s.output != outputOpen {
		dst = s.appendOpenLocked(dst, turn.Now)
	}
	start, before := len(dst), s.sent.events
	for len(dst) < limit {
		if s.left.Empty() {
			if s.replay != nil && s.sent.events > before {
				break // the next events are read when the kernel has accepted these
			}
			if more, err := s.pollLocked(limit - len(dst)); !more {
				return dst, err
			}
		}
		dst = s.appendDeliveryLocked(dst, limit, turn)
	}
	if s.replay != nil || limit-start < turn.Room {
		s.waker.Wake() // the engine expects no more after less than turn.Room bytes, but there may be more
	}
	return dst, nil
}

// pollLocked takes events from the subscription, or starts to read them from the store.
func (s *session) pollLocked(room int) (more bool, err error) {
	if s.read != nil {
		return false, nil
	}
	d, behind, err := s.pollUntilEnd(room)
	if err != nil {
		return false, err
	}
	if behind {
		s.moveLocked(stateCatchingUp)
		s.startReadLocked(s.fetch)
	} else {
		s.moveLocked(stateLive)
	}
	s.left = d
	return !d.Empty(), nil
}

func (s *session) appendDeliveryLocked(dst []byte, limit int, turn engine.WriteTurn) []byte {
	if g := s.left.Gap; g != nil {
		dst = s.controls.gap(dst, g)
		s.sent.position, s.left.Gap = g.Continues, nil
		s.handler.counts.gap(g)
	}
	n := 0
	for _, f := range s.left.Frames {
		if n > 0 && len(dst) >= limit {
			break
		}
		if s.controls.withMeta {
			dst = s.controls.meta(dst, EventComment{f.Subject, f.Stored() / int64(time.Millisecond)})
		}
		dst = s.controls.event(dst, f)
		s.sent.position.Seq = f.Seq
		n++
	}
	if n > 0 {
		s.handler.counts.frames(turn, s.start, s.left.Frames[:n])
		s.left.Frames = s.left.Frames[n:]
		s.sent.events += n
		s.idle.handedOver(turn.Now)
	}
	return dst
}

// appendOpenLocked appends the delay before a reconnect, the comment of ?meta=1, and tidemark.open.
func (s *session) appendOpenLocked(dst []byte, now time.Time) []byte {
	dst = s.appendRetryLocked(dst)
	if s.controls.withMeta {
		status := s.handler.opts.Feed.Status()
		dst = s.controls.meta(dst, OpenComment{now.UnixMilli(), feed.Position{Seq: status.High, Epoch: status.Epoch}.String()})
	}
	dst = s.controls.open(dst, s.handler.opts.Stream, s.sub, s.request.identity)
	s.request, s.output = nil, outputOpen
	opening := s.sub.StartInfo()
	s.sent.position = opening.Position
	s.handler.counts.gap(opening.Gap)
	return dst
}

// appendRetryLocked appends the delay before a reconnect, where nothing was sent yet.
func (s *session) appendRetryLocked(dst []byte) []byte {
	if s.output != outputNone {
		return dst
	}
	s.output = outputRetry
	return s.controls.retry(dst, jitter(s.handler.opts.Retry, 0.5))
}

// firstHeartbeat is when a connection that waits for the store receives its first bytes.
const firstHeartbeat = time.Second

// appendHeartbeatLocked appends a heartbeat when one is due: the position where it has moved, so
// that the position of a client without events does not expire, else a comment.
func (s *session) appendHeartbeatLocked(dst []byte, turn engine.WriteTurn) ([]byte, error) {
	if idle := s.handler.opts.MaxIdle; idle > 0 && turn.Now.Sub(s.idle.since) >= idle {
		return dst, errIdle
	}
	if turn.Now.Before(s.handler.heartbeatAt(s.start, turn.Written)) {
		return dst, nil
	}
	dst = s.appendRetryLocked(dst)
	if s.sub == nil {
		return s.controls.heartbeat(dst), nil
	}
	// A position of another incarnation of the stream is announced by its gap alone.
	at := s.sub.Position()
	moved := at.Epoch == s.sent.position.Epoch && at.Seq > s.sent.position.Seq
	if moved {
		s.sent.position = at
	}
	if !moved && !s.controls.heartbeatEvents || s.controls.lines() && s.controls.asComments {
		return s.controls.heartbeat(dst), nil
	}
	return s.controls.position(dst, s.sent.position), nil
}

// heartbeatAt returns the time of the next heartbeat. written is the time of the last write; zero before the
// first one.
func (h *Subscribe) heartbeatAt(start, written time.Time) time.Time {
	if written.IsZero() {
		return start.Add(min(firstHeartbeat, h.opts.Heartbeat))
	}
	return written.Add(h.opts.Heartbeat)
}

// nextTurnLocked returns the time of the next turn if nothing wakes the session before: the next heartbeat,
// deadline, or end of MaxIdle.
func (s *session) nextTurnLocked(turn engine.WriteTurn, writing bool) time.Time {
	written := turn.Written
	if writing {
		written = turn.Now
	}
	next := s.deadlines.next(s.handler.heartbeatAt(s.start, written), turn.Now)
	if idle := s.handler.opts.MaxIdle; idle > 0 && s.idle.since.Add(idle).Before(next) {
		next = s.idle.since.Add(idle)
	}
	return next
}
