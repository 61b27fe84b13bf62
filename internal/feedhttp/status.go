package feedhttp

import (
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/histogram"
)

// EndReasons are why streams end, as SubscribeStatus.Disconnects has them: those of
// tidemark.close, and for those that end without a word: the client has gone, it took no bytes
// for the write timeout (timeout), the server was closed under it (closed), an error.
var EndReasons = [...]string{
	string(CloseDrain), string(CloseMaxAge), string(CloseIdle), string(CloseExpired), string(CloseRevoked),
	string(CloseOverload), string(CloseLimit), string(CloseAdmin), "gone", "timeout", "closed", "error",
}

// SubscribeStatus is what a handler has done so far, and the streams there are now. Those that
// were turned away before they began are Admission's to count.
type SubscribeStatus struct {
	// Live streams are level with the stream; Replaying ones catch up from the log; Slow ones were
	// kept something ready for a second and took nothing, or so much that it was dropped, and is
	// taken from the window or the log again once they read.
	Live, Replaying, Slow int

	Connects    uint64
	Disconnects map[string]uint64 // by EndReasons
	Gaps        map[feed.Reason]uint64
	// Events that were stored while their client was connected, and those that it had missed
	// before: from=all and the like, too.
	LiveEvents, MissedEvents uint64
	Bytes                    uint64 // of all that was handed to connections, before any transfer coding
	// Delay of the live ones, from the time at which the log stored them to when they were handed
	// to the connection: a client that does not read shows in the events behind. The clocks are
	// the log's and this machine's; what would be below zero is zero.
	Delay histogram.Snapshot
}

// slowAfter is how long an event waits for a client that counts as slow.
const slowAfter = time.Second

// Status looks at each stream, which takes some 0.1 µs for each.
func (h *Subscribe) Status() SubscribeStatus {
	status := h.counts.status()
	before := time.Now().Add(-slowAfter)
	for _, s := range h.present() {
		switch s.state(before) {
		case stateReplaying:
			status.Replaying++
		case stateSlow:
			status.Slow++
		case stateLive:
			status.Live++
		}
	}
	return status
}

type state uint8

const (
	stateNone state = iota // turned away, or ended
	stateLive
	stateReplaying
	stateSlow
)

// state is slow when something waits for the client since a time, and it has taken nothing since.
func (s *session) state(since time.Time) state {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.counted || s.ended != nil:
		return stateNone
	case s.behind && (s.asking || s.event.After(since)):
		return stateReplaying
	case s.behind:
		return stateSlow // what was read for it waits
	case s.sub == nil || !s.opened:
		return stateLive // it is about to begin
	}
	waiting, level := s.sub.Waiting()
	if len(s.left.Frames) > 0 {
		waiting = s.left.Frames[0].Stored()
	}
	if !level || waiting != 0 && waiting < since.UnixNano() && s.event.Before(since) {
		return stateSlow
	}
	return stateLive
}

// counts of a handler. What happens with each delivery is counted apart for each of the engine's
// loops (engine.Turn.Lane).
type counts struct {
	connects    atomic.Uint64
	disconnects [len(EndReasons)]atomic.Uint64
	gaps        [5]atomic.Uint64 // by feed.Reasons
	delay       histogram.Histogram
	lanes       [16]lane
}

type lane struct {
	missed, bytes atomic.Uint64
	_             [112]byte // no two lanes in a cache line, or in the one that is fetched with it
}

func (c *counts) ended(err error) {
	reason := endReason(err)
	for i, r := range EndReasons {
		if r == reason {
			c.disconnects[i].Add(1)
		}
	}
}

func (c *counts) gap(g *feed.Gap) {
	for i, r := range feed.Reasons {
		if g != nil && r == g.Reason {
			c.gaps[i].Add(1)
		}
	}
}

func (c *counts) wrote(turn engine.WriteTurn, bytes int) {
	if bytes > 0 {
		c.lanes[turn.Lane%len(c.lanes)].bytes.Add(uint64(bytes))
	}
}

// frames counts what a turn delivers to a client that connected at a time. Frames that waited
// for the same turn mostly waited about as long, and are counted together.
func (c *counts) frames(turn engine.WriteTurn, since time.Time, frames []*feed.Frame) {
	now, start := turn.Now.UnixNano(), since.UnixNano()
	missed := uint64(0)
	delay := c.delay.Lane(turn.Lane)
	bucket, n, sum := 0, uint64(0), time.Duration(0)
	for _, f := range frames {
		if f.Stored() < start {
			missed++
			continue
		}
		if t := f.Trace(); t != nil {
			t.Sent()
		}
		d := max(0, time.Duration(now-f.Stored()))
		if n > 0 && !histogram.Within(bucket, d) {
			delay.Add(bucket, n, sum)
			n, sum = 0, 0
		}
		if n == 0 {
			bucket = histogram.Bucket(d)
		}
		n++
		sum += d
	}
	if n > 0 {
		delay.Add(bucket, n, sum)
	}
	if missed > 0 {
		c.lanes[turn.Lane%len(c.lanes)].missed.Add(missed)
	}
}

func (c *counts) status() SubscribeStatus {
	s := SubscribeStatus{
		Connects: c.connects.Load(), Delay: c.delay.Snapshot(),
		Disconnects: make(map[string]uint64, len(EndReasons)), Gaps: make(map[feed.Reason]uint64, len(feed.Reasons)),
	}
	s.LiveEvents = s.Delay.Count
	for i, reason := range EndReasons {
		s.Disconnects[reason] = c.disconnects[i].Load()
	}
	for i, reason := range feed.Reasons {
		s.Gaps[reason] = c.gaps[i].Load()
	}
	for i := range c.lanes {
		s.MissedEvents += c.lanes[i].missed.Load()
		s.Bytes += c.lanes[i].bytes.Load()
	}
	return s
}
