package model

import (
	"slices"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// start is where a connection was requested to begin.
type start struct {
	kind      string // new, all, last, time, seq, resume
	named     feed.Position
	order     int  // of the last event up to the named position
	tick      int  // when the named position was given
	madeUp    bool // no client was given it
	malformed bool
	time      time.Time
	text      string // for the trace
	noticed   int    // the tick up to which the node had noticed new incarnations
}

func (s start) String() string { return s.text }

// claims reports that the client names a position.
func (s start) claims() bool { return s.named != (feed.Position{}) && !s.malformed }

// open checks the opening, and places the connection. exact reports that nothing happened between
// the request and its answer, so that the opening is exact.
func (o *Observer) open(opening feed.StartInfo, exact bool) {
	o.opened = o.rec.tick
	l := o.rec.lines[opening.Position.Epoch]
	if l == nil {
		o.bad("opens at %s, of an epoch that never was", opening.Position)
		return
	}
	if o.start.kind == "last" {
		last := slices.MaxFunc(l.since(o.asked), func(a, b bounds) int { return int(a.last) - int(b.last) }) //nolint:gosec // small
		o.latest = latestOnly{true, l.epoch, last.last}
	}
	o.at = place{opening.Position.Seq, l.epoch, o.rec.order, l.oldest(opening.Position.Seq, o.asked)}
	if o.start.kind == "resume" || o.start.kind == "seq" {
		o.openAt(opening)
	} else if opening.Gap != nil { // where it was before the stream changed
		if p, err := feed.ParsePosition(opening.Gap.Requested); err == nil {
			o.at.seq, o.at.epoch = p.Seq, p.Epoch
		}
	}
	o.openingID(opening)
	o.openingPending(opening, l, exact)
	switch o.start.kind {
	case "all":
		if opening.Gap == nil && !slices.ContainsFunc(l.since(o.asked), func(b bounds) bool { return b.first == opening.Position.Seq+1 }) {
			o.bad("from=all opens at %s", opening.Position)
		}
	case "new", "last":
		if opening.Position.Seq > l.maxLast(0) { // of the present incarnation, or of the one that the node still follows
			o.bad("from=%s opens at %s, beyond the end", o.start.kind, opening.Position)
		}
		if o.start.kind == "last" {
			o.openLast(opening, l)
		}
		if opening.Gap != nil && o.start.kind == "new" {
			o.bad("from=new opens with a gap: %+v", opening.Gap)
		}
	case "time":
		o.openTime(opening, l)
	}
	if opening.Gap != nil {
		o.gap(opening.Gap)
		if opening.Gap.Continues != opening.Position {
			o.bad("opens at %s with a gap that continues at %s", opening.Position, opening.Gap.Continues)
		}
	}
	o.blind = o.blind || o.rec.replacedUnseen(place{seq: o.at.seq, epoch: o.at.epoch, tick: min(o.asked, o.at.tick)}, o.node)
}

func (l *line) maxLast(since int) (last uint64) {
	for _, b := range l.since(since) {
		last = max(last, b.last)
	}
	return last
}

// openAt places a connection that named a position.
func (o *Observer) openAt(opening feed.StartInfo) {
	if o.start.malformed {
		if opening.Gap == nil || opening.Gap.Reason != feed.Malformed || opening.ID != "" || opening.Resumed {
			o.bad("a malformed position is answered with %+v, gap %+v", opening, opening.Gap)
		}
		return
	}
	named := o.start.named
	if named.Epoch == "" {
		named.Epoch = opening.Position.Epoch
		if opening.Gap != nil {
			if p, err := feed.ParsePosition(opening.Gap.Requested); err == nil {
				named.Epoch = p.Epoch
			}
		}
	}
	o.at = place{named.Seq, named.Epoch, o.start.order, o.start.tick}
	if o.start.madeUp { // it claims what is stored below it by now, too
		o.at.order, o.at.tick = o.rec.order, o.asked
		if l := o.rec.lines[named.Epoch]; l != nil {
			o.at.tick = l.oldest(named.Seq, o.asked)
		}
	}
	o.blind = o.rec.replacedUnseen(o.at, o.node)
	continued := opening.Gap == nil || opening.Gap.Reason == feed.Possible
	if want := o.start.kind == "resume" && continued; opening.Resumed != want {
		o.bad("resumed is %v, the gap %+v", opening.Resumed, opening.Gap)
	}
	if continued && opening.Position != named {
		o.bad("named %s, and is continued at %s", named, opening.Position)
	}
	if opening.ID != named.String() {
		o.bad("named %s, and is given the id %q", named, opening.ID)
	}
}

// replacedUnseen reports that sequences below a place were used again since, and that the node
// cannot know: its tail had not come as far as the place.
func (r *Record) replacedUnseen(at place, node int) bool {
	l := r.lines[at.epoch]
	return l != nil && slices.ContainsFunc(l.lost, func(e lostEnd) bool { return e.tick > at.tick && e.unseenBy(node, at.seq) })
}

// unseenBy reports that the loss concerns a place which the node's tail had not reached.
func (e lostEnd) unseenBy(node int, seq uint64) bool { return seq > e.floor && seq > e.seen[node] }

func (o *Observer) openingID(opening feed.StartInfo) {
	named := o.start.kind == "resume" || o.start.kind == "seq"
	if named || opening.ID == opening.Position.String() {
		return
	}
	if opening.Gap == nil || opening.ID != "" && opening.ID != opening.Gap.Requested {
		o.bad("opens at %s with the id %q, gap %+v", opening.Position, opening.ID, opening.Gap)
	}
}

// openingPending compares the number of pending events. Where things happen at the same time,
// it is an estimate with an upper bound.
func (o *Observer) openingPending(opening feed.StartInfo, l *line, exact bool) {
	var ever, now uint64
	for _, e := range l.events {
		if !o.matches(e.subject) || e.seq <= opening.Position.Seq && o.start.kind != "last" {
			continue // the events that from=last counted may have been trimmed since, and the opening moved on
		}
		ever++
		exact = exact && len(e.absent) == 0 // the window may have it still
		if e.present() && !o.leftOut(e) && e.seq > opening.Position.Seq {
			now++
		}
	}
	if opening.Pending > ever && l.lostSince(o.asked) == always {
		o.bad("opens with %d pending, and only %d were ever stored after %s", opening.Pending, ever, opening.Position)
	}
	if exact && opening.Pending != now {
		o.bad("opens with %d pending, and %d are stored after %s", opening.Pending, now, opening.Position)
	}
}

// openLast checks that the latest event of each subject is yet to come.
func (o *Observer) openLast(opening feed.StartInfo, l *line) {
	if l.lostSince(o.asked) != always {
		return
	}
	for _, e := range l.events {
		there := e.present() && !e.absentSince(o.asked) && e.stored < o.asked
		if there && o.matches(e.subject) && e.seq <= opening.Position.Seq && !o.leftOut(e) {
			o.bad("from=last opens at %s, after %d, which is the latest of %s", opening.Position, e.seq, e.subject)
		}
	}
}

// openTime checks that delivery begins with the first event at or after the time.
func (o *Observer) openTime(opening feed.StartInfo, l *line) {
	if opening.Gap != nil {
		return // it covers the missing events from there on
	}
	for _, e := range l.events {
		if !e.present() || e.absentSince(o.asked) || e.stored >= o.asked {
			continue
		}
		if e.seq <= opening.Position.Seq && !e.sent.Before(o.start.time) {
			o.bad("from %s opens at %s, after %d, which was stored since", o.start, opening.Position, e.seq)
		}
		if e.seq > opening.Position.Seq && e.acked.Before(o.start.time) {
			o.bad("from %s opens at %s, before %d, which was stored earlier", o.start, opening.Position, e.seq)
		}
	}
}
