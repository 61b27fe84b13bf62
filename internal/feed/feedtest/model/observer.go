package model

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
)

// Observer checks what one connection receives. It is given everything in the order in which
// the connection receives it, and compares it with the Record.
type Observer struct {
	rec     *Record
	node    int
	filters []string
	start   start
	report  func(violation string)
	reached func(place) // gets every place that the client may resume from

	asked, opened int // ticks
	at            place
	gaps          []int          // ticks at which gaps were received
	seen          map[int]uint64 // sequences by order of the delivered events
	blind         bool           // the node cannot know what replaced events below the place
	replaced      []*event       // passed over, with a sequence that was used before
	latest        latestOnly
	heartbeat     feed.Position // the last that position was given
	delivered     int
	reasons       map[feed.Reason]int // of gaps
	removedWithin time.Duration       // see Kind.RemovedWithin
}

// place is how far a connection is: everything at or below the sequence that was stored up to
// the order is accounted for.
type place struct {
	seq   uint64
	epoch string
	order int
	tick  int // when the stream had it, at the latest
}

// latestOnly removes the events that from=last leaves out: all but the latest of each subject up to a sequence.
type latestOnly struct {
	on    bool
	epoch string
	upTo  uint64
}

func (o *Observer) bad(format string, args ...any) { o.report(fmt.Sprintf(format, args...)) }

func (o *Observer) matches(subject string) bool { return matchesAny(o.filters, subject) }

func matchesAny(filters []string, subj string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return subject.Matches(f, subj) })
}

// unseen reports that an event of the place's line is not accounted for.
func (o *Observer) unseen(e *event) bool {
	if _, delivered := o.seen[e.order]; delivered {
		return false
	}
	return e.seq > o.at.seq || e.order > o.at.order && !o.rec.copied
}

// delivery checks what a call of the subscription returned at a time.
func (o *Observer) delivery(d feed.Delivery, at time.Time) {
	if d.Gap != nil {
		o.gap(d.Gap)
	}
	for _, f := range d.Frames {
		o.frame(f.Wire(), f.Subject, at)
	}
}

// frame checks an event as it goes out.
func (o *Observer) frame(wire []byte, subject string, at time.Time) {
	id, order, ok := readFrame(wire)
	if !ok {
		o.bad("a frame without a position or content: %q", wire)
		return
	}
	o.delivered++
	e := o.known(id, order, subject)
	if e == nil {
		return
	}
	if id.Epoch != o.at.epoch {
		o.bad("%s follows %s without a gap", id, o.at)
		o.at = place{epoch: id.Epoch, order: order - 1}
	}
	if _, again := o.seen[order]; again {
		o.bad("%s (%d) is delivered twice", id, order)
	}
	if id.Seq <= o.at.seq {
		o.bad("%s follows %s", id, o.at)
	}
	o.passed(id.Seq-1, order, "before "+id.String())
	o.removedLongAgo(e, id, at)
	o.seen[order] = e.seq
	o.move(place{id.Seq, id.Epoch, order, e.stored})
	o.blind = o.blind || o.rec.replacedUnseen(o.at, o.node)
}

func (o *Observer) move(to place) {
	o.at = to
	if o.reached != nil {
		o.reached(to)
	}
}

// known finds the event that was delivered in the record.
func (o *Observer) known(id feed.Position, order int, subject string) *event {
	l := o.rec.lines[id.Epoch]
	if l == nil {
		o.bad("%s is of an epoch that never was", id)
		return nil
	}
	e := l.find(order)
	switch {
	case e == nil, e.seq != id.Seq, e.subject != subject:
		o.bad("%s on %s has content (%d) that was not stored there", id, subject, order)
		return nil
	case !o.matches(subject):
		o.bad("%s on %s does not match %v", id, subject, o.filters)
	}
	return e
}

// passed checks that everything up to a sequence was delivered or announced, as the connection
// is now beyond it. Events stored after the one of that order do not count: a loss of the end
// that they come from is announced later.
func (o *Observer) passed(upTo uint64, order int, where string) {
	l := o.rec.lines[o.at.epoch]
	if l == nil {
		return
	}
	for _, e := range l.events {
		if e.seq <= upTo && e.order < order && o.matches(e.subject) && o.unseen(e) {
			o.missing(e, where)
		}
	}
}

// missing judges an event that a connection is past without having received it.
func (o *Observer) missing(e *event, where string) {
	if e.void > 0 || e.broughtBack() || o.leftOut(e) {
		return
	}
	if e.seq <= o.at.seq || o.rec.lines[o.at.epoch].reused(e) { // a gap was received, or is once the node has noticed
		o.replaced = append(o.replaced, e)
		return
	}
	for _, s := range e.absent {
		if s.to < o.asked {
			continue
		}
		if !o.start.claims() && s.from <= o.opened || o.announced(s.from) || o.rec.lines[o.at.epoch].broughtBack() {
			return
		}
		o.bad("%d-%s (%d) was removed at %d and passed over %s without a gap since; gaps at %v", e.seq, o.at.epoch, e.order, s.from, where, o.gaps)
		return
	}
	o.bad("%d-%s (%d) was passed over %s, and is stored", e.seq, o.at.epoch, e.order, where)
}

// announced reports that a gap was received at or after a tick.
func (o *Observer) announced(since int) bool {
	return slices.ContainsFunc(o.gaps, func(gap int) bool { return gap >= since })
}

// leftOut reports that from=last leaves an event out for a later one of its subject, which may have
// come while the replay was under way.
func (o *Observer) leftOut(e *event) bool {
	if !o.latest.on || o.at.epoch != o.latest.epoch || e.seq > o.latest.upTo {
		return false
	}
	return !e.present() || slices.ContainsFunc(o.rec.lines[o.at.epoch].events, func(later *event) bool {
		return (later.void == 0 || later.void > o.asked) && later.subject == e.subject && later.seq > e.seq
	})
}

// removedLongAgo checks that an event which was delivered had not been removed for long.
func (o *Observer) removedLongAgo(e *event, id feed.Position, at time.Time) {
	if late := o.removedFor(e, at); late > 0 {
		o.bad("%s (%d) was removed at %d, and is delivered %s later", id, e.order, e.absent[len(e.absent)-1].from, late)
	}
}

// removedFor is for how long the node has been able to find that an event is removed, where that is longer than
// removedWithin; else zero.
func (o *Observer) removedFor(e *event, at time.Time) time.Duration {
	n := len(e.absent)
	if o.removedWithin == 0 || n == 0 || e.absent[n-1].to != always {
		return 0
	}
	since := e.absent[n-1].since
	if calm := o.rec.disturbed; calm.After(since) {
		since = calm
	}
	if late := at.Sub(since); !since.IsZero() && late > o.removedWithin {
		return late
	}
	return 0
}

// position checks what a heartbeat would name now.
func (o *Observer) position(p feed.Position) {
	if p == o.heartbeat {
		return
	}
	switch {
	case p.Epoch != o.at.epoch:
		if l := o.rec.lines[p.Epoch]; l == nil || l.number > o.number() {
			o.bad("the position %s is of another epoch than %s", p, o.at)
		}
		return
	case p.Epoch == o.heartbeat.Epoch && p.Seq < o.heartbeat.Seq:
		o.bad("the position falls from %s to %s", o.heartbeat, p)
	}
	o.heartbeat = p
	if p.Seq <= o.at.seq {
		return
	}
	l := o.rec.lines[p.Epoch]
	if l.lostSince(o.at.tick) != always { // the node may not have found it yet: events that replaced others count at the end
		o.at.seq = p.Seq
		return
	}
	o.passed(p.Seq, o.rec.order+1, "by the position "+p.String())
	o.move(place{p.Seq, p.Epoch, l.orderAt(p.Seq), o.rec.tick})
}

// number is the number of the line of the place; 0 for an epoch that the stream never had.
func (o *Observer) number() int {
	if l := o.rec.lines[o.at.epoch]; l != nil {
		return l.number
	}
	return 0
}

// end checks a connection that was given all the time it needs. at is its position.
func (o *Observer) end(at feed.Position) {
	l := o.rec.current
	if o.at.epoch != l.epoch {
		o.bad("ends at %s, the stream is %s", o.at, l.epoch)
		return
	}
	o.passed(math.MaxUint64, o.rec.order+1, "at the end")
	for _, e := range o.replaced {
		_, delivered := o.seen[e.order]
		if !delivered && e.present() && !o.blind && !o.announced(e.stored) {
			o.bad("%d-%s (%d) was passed over, and replaced another event: there was no gap since; gaps at %v", e.seq, l.epoch, e.order, o.gaps)
		}
	}
	if at.Epoch != l.epoch || at.Seq < l.last {
		o.bad("ends at the position %s, the stream at %d-%s", at, l.last, l.epoch)
	}
}

func (p place) String() string { return feed.Position{Seq: p.seq, Epoch: p.epoch}.String() }

// content is the payload of an event: the order, and padding.
func content(order, size int) []byte {
	return append(strconv.AppendInt(nil, int64(order), 10), "|"+strings.Repeat("x", size)...)
}

// readFrame reads the position and the order out of a frame.
func readFrame(wire []byte) (id feed.Position, order int, ok bool) {
	var hasID, hasOrder bool
	for line := range bytes.SplitSeq(wire, []byte("\n")) {
		if text, is := bytes.CutPrefix(line, []byte("id: ")); is {
			p, err := feed.ParsePosition(string(text))
			id, hasID = p, err == nil && p.Epoch != ""
		}
		if text, is := bytes.CutPrefix(line, []byte("data: ")); is {
			digits, _, _ := bytes.Cut(text, []byte("|"))
			n, err := strconv.Atoi(string(digits))
			order, hasOrder = n, err == nil
		}
	}
	return id, order, hasID && hasOrder
}
