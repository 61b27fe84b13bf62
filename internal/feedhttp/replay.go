package feedhttp

import (
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// Replay is a period of reading from the store for one connection. The client had missed events, had
// requested them, or did not accept them in time.
type Replay struct {
	ConnInfo
	Trace    feed.TraceContext // of the client's request; empty without
	Started  time.Time
	CaughtUp bool          // false if the connection ended before
	First    bool          // the connection began with it
	From, To feed.Position // zero if the store never answered
	Events   int           // sent
}

// replay is a replay that is under way: the session has a place among Limits.Replays.
type replay struct {
	started time.Time
	first   bool
	from    feed.Position // of a first one it is known later
	events  int
}

// newReplay records how a replay of a session begins. The caller has counted it, and holds the lock.
func newReplay(s *session) *replay {
	return &replay{started: time.Now(), first: s.output != outputOpen, from: s.sent.position, events: s.sent.events}
}

// endReplayLocked gives back the place of a replay, if there is one, and reports it.
func (s *session) endReplayLocked() {
	began := s.replay
	if began == nil {
		return
	}
	s.replay = nil
	s.handler.opts.Admission.replays.Add(-1)
	if s.handler.opts.Replayed == nil {
		return
	}
	r := Replay{ConnInfo: Conn{s}.Info(), Started: began.started, CaughtUp: s.state != stateClosed, First: began.first, Events: s.sent.events - began.events}
	if s.trace != nil {
		r.Trace = *s.trace
	}
	if s.output == outputOpen {
		r.From, r.To = began.from, s.sent.position
		if began.first {
			r.From = s.sub.StartInfo().Position
		}
	}
	if trace := s.handler.opts.Replayed(r); s.trace == nil && trace.Parent != "" {
		s.trace = &trace
	}
}
