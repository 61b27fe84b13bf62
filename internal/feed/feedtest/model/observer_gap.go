package model

import (
	"maps"
	"slices"

	"github.com/tidemark/tidemark/internal/feed"
)

// gap checks a gap: that it has a cause, that its fields are true, and that it passes nothing
// over that is stored.
func (o *Observer) gap(g *feed.Gap) {
	l := o.rec.lines[g.Continues.Epoch]
	if l == nil {
		o.bad("gap %s continues in an epoch that never was: %s", g.Reason, g.Continues)
		return
	}
	if l.number < o.number() {
		o.bad("gap %s moves from %s back to an earlier incarnation, %s", g.Reason, o.at, g.Continues)
	}
	o.cause(g, l)
	o.truth(g, l)
	if g.Continues.Epoch == o.at.epoch && g.Continues.Seq > o.at.seq {
		o.gapPasses(g, l)
	}
	if g.Continues.Epoch != o.at.epoch || g.Continues.Seq < o.at.seq {
		maps.DeleteFunc(o.seen, func(_ int, seq uint64) bool { return seq > g.Continues.Seq || g.Reason == feed.NewEpoch })
	}
	o.gaps = append(o.gaps, o.rec.tick)
	o.reasons[g.Reason]++
	o.move(place{g.Continues.Seq, g.Continues.Epoch, o.rec.order, l.oldest(g.Continues.Seq, o.rec.tick)})
	o.heartbeat = feed.Position{}
	o.blind = slices.ContainsFunc(l.lost, func(e lostEnd) bool { // it may have been found before the loss
		return e.tick > o.asked && e.unseenBy(o.node, g.Continues.Seq) && g.Continues.Seq <= e.last
	})
}

// cause checks that something happened which the gap's reason stands for.
func (o *Observer) cause(g *feed.Gap, l *line) {
	if g.Reason == feed.Malformed {
		if !o.start.malformed {
			o.bad("gap malformed, though the start is %s", o.start)
		}
		return
	}
	requested, err := feed.ParsePosition(g.Requested)
	if err != nil || requested.Epoch == "" {
		o.bad("gap %s requests %q, which is not a full position", g.Reason, g.Requested)
		return
	}
	if requested.Epoch != o.at.epoch {
		o.bad("gap %s requests %s, and the connection is at %s", g.Reason, requested, o.at)
	}
	var caused bool
	switch g.Reason {
	case feed.Trimmed:
		caused = slices.ContainsFunc(l.bounds, func(b bounds) bool { return b.first > requested.Seq+1 }) // the node may have looked before
	case feed.Future: // a mirror is waited for: no position is beyond the end of its origin
		caused = !o.rec.copied && (slices.ContainsFunc(l.since(min(o.asked, l.lostSince(0))), func(b bounds) bool { return b.last < requested.Seq }) || // the node may have looked before
			slices.ContainsFunc(l.lost, func(e lostEnd) bool {
				return e.floor <= requested.Seq && (e.tick > o.asked || requested.Seq <= e.last) ||
					e.tick > o.asked && g.Continues.Seq > requested.Seq // it answers for losses before that, too
			}))
	case feed.NewEpoch:
		caused = g.Continues.Epoch != requested.Epoch || slices.ContainsFunc(l.lost, func(e lostEnd) bool { return e.born && e.tick > o.start.noticed })
	case feed.Possible:
		caused = l.holeAfter(requested.Seq)
	}
	if !caused {
		o.bad("gap %s without a cause: requested %s, continues %s", g.Reason, g.Requested, g.Continues)
	}
}

// holeAfter reports that an event after seq was removed at some time, or that sequences were used twice.
func (l *line) holeAfter(seq uint64) bool {
	return l.holeBehind(seq) || len(l.lost) > 0 // the node may not have found which events were replaced
}

// holeBehind reports that an event after seq was removed at some time.
func (l *line) holeBehind(seq uint64) bool {
	return slices.ContainsFunc(l.events, func(e *event) bool { return e.seq > seq && len(e.absent) > 0 })
}

// truth compares a gap with the stream.
func (o *Observer) truth(g *feed.Gap, l *line) {
	if g.FirstAvailable.Epoch != g.Continues.Epoch {
		o.bad("gap %s: first available %s, continues %s", g.Reason, g.FirstAvailable, g.Continues)
	}
	if g.Reason == feed.Malformed {
		return // the node's window is the reference for available events
	}
	if !slices.ContainsFunc(l.bounds, func(b bounds) bool { return b.first == g.FirstAvailable.Seq }) {
		o.bad("gap %s: first available %s, which the stream never began with", g.Reason, g.FirstAvailable)
	}
	if g.Reason == feed.Future || g.Reason == feed.NewEpoch {
		return
	}
	if g.Continues.Epoch == o.at.epoch && g.Continues.Seq < o.at.seq && !o.start.malformed {
		o.bad("gap %s goes back from %s to %s", g.Reason, o.at, g.Continues)
	}
}

// gapPasses checks that a gap within an epoch passes over nothing that is stored.
func (o *Observer) gapPasses(g *feed.Gap, l *line) {
	if g.Reason == feed.Future || g.Reason == feed.Malformed {
		return
	}
	lost := l.lostSince(o.at.tick)
	for _, e := range l.events {
		here := e.seq > o.at.seq && e.seq <= g.Continues.Seq && o.matches(e.subject) && o.unseen(e)
		if here && e.void == 0 && e.stored < lost && !l.reused(e) && !e.absentSince(o.asked) && !e.broughtBack() && !o.leftOut(e) {
			o.bad("gap %s from %s to %s passes over %d (%d), which is stored", g.Reason, o.at, g.Continues, e.seq, e.order)
		}
	}
}

// oldest is when a position that is received now may have been valid at the earliest: before a
// loss that it lies beyond, if there was one.
func (l *line) oldest(seq uint64, now int) int {
	for _, e := range l.lost {
		if e.floor < seq && seq <= e.last {
			return e.tick - 1
		}
	}
	return now
}

// broughtBack reports that a restored disk has the event again: a tail that is behind may meet it as
// removed after that.
func (e *event) broughtBack() bool {
	return slices.ContainsFunc(e.absent, func(s span) bool { return s.to != always })
}

// broughtBack reports that deletions were taken back: the stream may show as many as before, and has
// others.
func (l *line) broughtBack() bool { return slices.ContainsFunc(l.events, (*event).broughtBack) }

// absentSince reports that the event was not there at some time from a tick to now.
func (e *event) absentSince(tick int) bool {
	return slices.ContainsFunc(e.absent, func(s span) bool { return s.to >= tick })
}
