package feedhttp

import (
	"time"

	"github.com/tidemark/tidemark/pkg/feed"
)

// Replay is a resume that needed the log: what the client had missed, or asked for, is read
// from there until it is level with the others.
type Replay struct {
	Who
	Trace    string // traceparent of the client's request; empty without
	Started  time.Time
	Level    bool          // it got there; else the stream ended before
	From, To feed.Position // zero where the log never answered
	Events   int           // sent
}

// replayedLocked tells of the replay once.
func (s *session) replayedLocked(level bool) {
	if !s.replays {
		return
	}
	s.replays = false
	r := Replay{Who: Stream{s}.Who(), Trace: s.trace, Started: s.start, Level: level, Events: s.events}
	if s.opened {
		r.From, r.To = s.sub.Opening().Position, s.sent
	}
	s.handler.opts.Replayed(r)
}
