package feedhttp

import (
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// Replay is a time in which a stream needed the log: what the client had missed, asked for, or did
// not take in time, was read from there until it was level with the others.
type Replay struct {
	ConnInfo
	Trace    feed.TraceContext // of the client's request; empty without
	Started  time.Time
	CaughtUp    bool          // it got there; else the stream ended before
	First    bool          // the stream began with it
	From, To feed.Position // zero where the log never answered
	Events   int           // sent
}

// replay is what Replayed will need of how one began.
type replay struct {
	started time.Time
	first   bool
	from    feed.Position // of a first one it is known later
	events  int
}

// replayLocked remembers how a replay begins, where somebody hears of it.
func (s *session) replayLocked() {
	if s.handler.opts.Replayed != nil {
		s.replay = &replay{started: time.Now(), first: !s.opened, from: s.sent, events: s.events}
	}
}

// replayedLocked tells of its end.
func (s *session) replayedLocked() {
	began := s.replay
	if began == nil {
		return
	}
	s.replay = nil
	r := Replay{ConnInfo: Conn{s}.Info(), Started: began.started, CaughtUp: s.ended == nil, First: began.first, Events: s.events - began.events}
	if s.trace != nil {
		r.Trace = *s.trace
	}
	if s.opened {
		r.From, r.To = began.from, s.sent
		if began.first {
			r.From = s.sub.Opening().Position
		}
	}
	if trace := s.handler.opts.Replayed(r); s.trace == nil && trace.Parent != "" {
		s.trace = &trace
	}
}
