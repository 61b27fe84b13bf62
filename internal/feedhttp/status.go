package feedhttp

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/histogram"
)

// EndReasons are the keys of SubscribeStatus.Disconnects. They are the reasons of tidemark.close, and those
// without an event: a poll was answered (page), the client disconnected (gone), it accepted no bytes for the write timeout (timeout), the
// engine was closed (closed), an error.
var EndReasons = [...]string{
	string(CloseDrain), string(CloseMaxAge), string(CloseIdle), string(CloseExpired), string(CloseRevoked),
	string(CloseOverload), string(CloseLimit), string(CloseAdmin), string(CloseComplete), "page", "gone", "timeout", "closed", "error",
}

// endReason returns the reason of an end among EndReasons.
func endReason(err error) string {
	if event, ok := closeEvents[err]; ok {
		return string(event.reason)
	}
	switch {
	case errors.Is(err, errPage):
		return "page"
	case errors.Is(err, engine.ErrGone):
		return "gone"
	case errors.Is(err, engine.ErrTimeout):
		return "timeout"
	case errors.Is(err, engine.ErrClosed):
		return "closed"
	}
	return "error"
}

// SubscribeStatus has the counters of a handler, and its open connections. Rejected connects are counted
// by [Admission].
type SubscribeStatus struct {
	// Live connections are caught up. Replaying ones read from the store. For Slow ones events have been
	// ready for a second and the client accepted none, or so many that they were dropped; they are read
	// again once the client reads.
	FormStatus
	// Forms are the same numbers for each Form.
	Forms [forms]FormStatus

	Connects    uint64
	Disconnects map[string]uint64 // by EndReasons
	Gaps        map[feed.Reason]uint64
	// LiveEvents were stored while their client was connected, MissedEvents before, also those of
	// from=all and the like.
	LiveEvents, MissedEvents uint64
	Bytes                    uint64 // of all that was handed to connections, before any transfer coding
	// Delay of live events, from the time at which the store stored them to when they were handed
	// to the connection: a client that does not read delays the events after them. The clocks are
	// those of the store and of this machine; negative delays count as zero.
	Delay histogram.Snapshot
}

// FormStatus counts open connections by their state.
type FormStatus struct{ Live, Replaying, Slow int }

func (s *FormStatus) add(g gauge) {
	switch g {
	case gaugeReplaying:
		s.Replaying++
	case gaugeSlow:
		s.Slow++
	case gaugeLive:
		s.Live++
	}
}

// slowAfter is how long events wait before their client counts as slow.
const slowAfter = time.Second

// Status returns the counters. It visits each connection, for some 0.1 µs.
func (h *Subscribe) Status() SubscribeStatus {
	status := h.counts.status()
	before := time.Now().Add(-slowAfter)
	for _, s := range h.sessions() {
		g := s.gauge(before)
		status.add(g)
		status.Forms[s.controls.form].add(g)
	}
	return status
}

// gauge is the number of SubscribeStatus that a connection counts in.
type gauge uint8

const (
	gaugeNone gauge = iota // rejected, or closed
	gaugeLive
	gaugeReplaying
	gaugeSlow
)

// gauge is slow when events have been ready since a time, and the client has accepted none since.
func (s *session) gauge(since time.Time) gauge {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.announced == notAnnounced || s.state == stateClosed:
		return gaugeNone
	case s.replay != nil && (s.read != nil || s.idle.since.After(since)):
		return gaugeReplaying
	case s.replay != nil:
		return gaugeSlow // events that were read wait for the client
	case s.sub == nil || s.output != outputOpen:
		return gaugeLive // it is about to begin
	}
	waiting, caughtUp := s.sub.PendingSince()
	if len(s.left.Frames) > 0 {
		waiting = s.left.Frames[0].Stored()
	}
	if !caughtUp || waiting != 0 && waiting < since.UnixNano() && s.idle.since.Before(since) {
		return gaugeSlow
	}
	return gaugeLive
}

// counts are the counters of a handler. Each loop of the engine counts its deliveries in counters of its
// own (engine.WriteTurn.Lane).
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

// frames counts the events that a turn delivers to a client that connected at a time. Events of one turn
// mostly waited about as long, and are counted together.
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
