package model

import (
	"math"
	"slices"
	"time"
)

// Record is the reference: all events ever stored in the stream, each with the time of its
// presence. Time is counted in changes of the record (ticks).
type Record struct {
	tick    int
	order   int // of the event stored last
	lines   map[string]*line
	current *line
	started int // lines so far
	backups []*backup
	births  []int // ticks at which there was a new incarnation
	// disturbed is when the way to the stream was last disturbed.
	disturbed time.Time
	// copied reports that another stream assigns the sequences, so that positions may be ahead.
	copied bool
}

// line is everything stored under one epoch. A stream that is recreated with a chosen epoch
// stays on its line.
type line struct {
	epoch  string
	number int
	events []*event
	lost   []lostEnd
	bounds []bounds
	last   uint64
}

// event is one stored event. Its order is unique, also where its sequence was used twice, and
// survives a restore.
type event struct {
	seq     uint64
	order   int
	subject string
	end     bool // it completes its subject
	absent  []span
	void    int // tick at which the stream lost its end below this event, or was recreated; 0 for never
	stored  int // tick
	// The server stored it between these times.
	sent, acked time.Time
}

// span is when an event was not there, in ticks; to is always when that has not ended.
type span struct {
	from, to int
	since    time.Time
}

const always = math.MaxInt

// bounds are the first and the last sequence from a tick on.
type bounds struct {
	tick        int
	first, last uint64
}

// lostEnd is one loss of the end of a line: sequences above floor, of which last was used, are
// used again.
type lostEnd struct {
	tick        int
	floor, last uint64
	born        bool           // by a new incarnation that has the same epoch
	seen        map[int]uint64 // how far the tail of each node was
}

// backup is the content of a line at a tick.
type backup struct {
	of    *line
	order int
	last  uint64
	there map[*event]bool // false for a removed event
}

func newRecord(epoch string) *Record {
	r := &Record{lines: map[string]*line{}}
	r.begin(epoch)
	return r
}

func (r *Record) begin(epoch string) {
	r.current = r.lines[epoch]
	if r.current == nil {
		r.started++
		r.current = &line{epoch: epoch, number: r.started}
		r.lines[epoch] = r.current
	}
	r.changed()
}

func (r *Record) changed() {
	r.tick++
	l := r.current
	l.bounds = append(l.bounds, bounds{r.tick, l.first(), l.last})
}

func (l *line) first() uint64 {
	for _, e := range l.events {
		if e.present() {
			return e.seq
		}
	}
	return l.last + 1
}

func (e *event) present() bool {
	n := len(e.absent)
	return e.void == 0 && (n == 0 || e.absent[n-1].to != always)
}

// publish records an event that is stored under seq.
func (r *Record) publish(e *event) {
	r.order++
	e.order = r.order
	r.current.events = append(r.current.events, e)
	r.current.last = max(r.current.last, e.seq)
	r.changed()
	e.stored = r.tick
}

// nextOrder is the order of the next event that is published.
func (r *Record) nextOrder() int { return r.order + 1 }

// present returns the stored events, oldest first.
func (r *Record) present() (list []*event) {
	for _, e := range r.current.events {
		if e.present() {
			list = append(list, e)
		}
	}
	return list
}

// remove records that events are taken out of the stream. It is called before that happens.
func (r *Record) remove(gone func(*event) bool) {
	r.tick++
	for _, e := range r.present() {
		if gone(e) {
			e.absent = append(e.absent, span{r.tick, always, time.Now()})
		}
	}
	r.changed()
}

// removeStream records that the stream is deleted.
func (r *Record) removeStream(seen map[int]uint64) {
	r.loseAll(seen)
	r.backups = nil
	r.changed()
}

// recreated records that there is an empty stream again.
func (r *Record) recreated(epoch string) {
	r.begin(epoch)
	r.current.last = 0
	r.changed()
}

func (e *event) lose(tick int) {
	if e.void == 0 {
		e.void = tick
	}
}

// lostSince returns the tick of the first loss of the end after a tick, or always.
func (l *line) lostSince(tick int) int {
	for _, e := range l.lost {
		if e.tick > tick {
			return e.tick
		}
	}
	return always
}

// reused reports that an event has a sequence that was used before.
func (l *line) reused(e *event) bool {
	return slices.ContainsFunc(l.lost, func(lost lostEnd) bool {
		return lost.tick < e.stored && lost.floor < e.seq && e.seq <= lost.last
	})
}

// loseAll is the end of an incarnation.
func (r *Record) loseAll(seen map[int]uint64) {
	r.tick++
	for _, e := range r.current.events {
		e.lose(r.tick)
	}
	r.current.lost = append(r.current.lost, lostEnd{tick: r.tick, last: r.current.last, born: true, seen: seen})
}

// backUp remembers the content of the stream.
func (r *Record) backUp() {
	b := &backup{of: r.current, order: r.order, last: r.current.last, there: map[*event]bool{}}
	for _, e := range r.current.events {
		if e.void == 0 {
			b.there[e] = e.present()
		}
	}
	r.backups = append(r.backups, b)
}

// restore records that the stream has the content of the latest backup again, as a new
// incarnation (born) or not.
func (r *Record) restore(epoch string, born bool, seen map[int]uint64) {
	b := r.backups[len(r.backups)-1]
	r.tick++
	before := r.current
	if epoch != before.epoch {
		r.loseAll(seen)
		r.restoreCopy(epoch, b)
		return
	}
	for _, e := range before.events {
		b.restored(e, r.tick)
	}
	before.lost = append(before.lost, lostEnd{tick: r.tick, floor: b.last, last: before.last, born: born, seen: seen})
	before.last = b.last
	r.changed()
}

// restored is called for each event of a line that has the content of a backup again.
func (b *backup) restored(e *event, tick int) {
	n := len(e.absent)
	switch {
	case e.order > b.order:
		e.lose(tick)
	case b.there[e] && n > 0 && e.absent[n-1].to == always:
		e.absent[n-1].to = tick
	}
}

// restoreCopy begins another line with the content of a backup.
func (r *Record) restoreCopy(epoch string, b *backup) {
	r.begin(epoch)
	there := map[*event]bool{}
	for _, e := range b.of.events {
		if _, known := b.there[e]; !known {
			continue
		}
		c := *e
		c.absent, c.void, c.stored = nil, 0, r.tick
		if !b.there[e] {
			c.absent = []span{{r.tick, always, time.Time{}}}
		}
		r.current.events = append(r.current.events, &c)
		there[&c] = b.there[e]
	}
	r.current.last = b.last
	r.backups = []*backup{{of: r.current, order: b.order, last: b.last, there: there}}
	r.changed()
}

// find returns the event of a line by its order, nil for none.
func (l *line) find(order int) *event {
	i := slices.IndexFunc(l.events, func(e *event) bool { return e.order == order })
	if i < 0 {
		return nil
	}
	return l.events[i]
}

// orderAt is the order of the latest event at or below seq that the line has not lost.
func (l *line) orderAt(seq uint64) (order int) {
	for _, e := range l.events {
		if e.seq <= seq && e.void == 0 {
			order = max(order, e.order)
		}
	}
	return order
}

// since returns the bounds that were in force at any time from a tick to now.
func (l *line) since(tick int) []bounds {
	i, exact := slices.BinarySearchFunc(l.bounds, tick, func(b bounds, tick int) int { return b.tick - tick })
	if !exact {
		i = max(i-1, 0)
	}
	return l.bounds[i:]
}
