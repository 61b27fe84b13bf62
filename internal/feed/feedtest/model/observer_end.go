package model

import (
	"slices"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// complete checks a connection that has ended because all of its subjects are complete. high is where the
// node's tail was before that; zero where it is not known. Where sequences were used twice, an end of before
// may have decided.
func (o *Observer) complete(high feed.Position) {
	l := o.rec.lines[o.at.epoch]
	if l == nil || len(l.lost) > 0 {
		return
	}
	for _, subject := range o.filters {
		if !o.ended(l, subject) {
			o.bad("is complete at %s, and %s is open", o.at, subject)
		}
	}
	for _, e := range l.events {
		if high.Epoch == o.at.epoch && e.seq <= high.Seq && e.present() && o.matches(e.subject) && o.unseen(e) {
			o.bad("is complete at %s, and %d (%d) on %s is stored and was not delivered", o.at, e.seq, e.order, e.subject)
		}
	}
}

// ended reports that the latest event of a subject up to the place of the connection is an end: the one that it
// received last, or the one that the node has found in the stream since then.
func (o *Observer) ended(l *line, subject string) bool {
	for _, e := range slices.Backward(l.events) {
		if e.subject != subject || e.seq > o.at.seq {
			continue
		}
		_, delivered := o.seen[e.order]
		switch {
		case e.end && (delivered || !e.removedBefore(o.asked) || o.removedFor(e, time.Now()) == 0):
			return true
		case !e.end && len(e.absent) == 0:
			return false
		}
	}
	return false
}

// removedBefore reports that the event was removed before a tick, and has not been there since.
func (e *event) removedBefore(tick int) bool {
	n := len(e.absent)
	return n > 0 && e.absent[n-1].to == always && e.absent[n-1].from < tick
}

// allComplete reports that the latest event of each subject is an end.
func (r *Record) allComplete(subjects []string) bool {
	return !slices.ContainsFunc(subjects, func(subject string) bool {
		there := slices.DeleteFunc(r.present(), func(e *event) bool { return e.subject != subject })
		return len(there) == 0 || !there[len(there)-1].end
	})
}

// behindEnds reports that the node answers a client as having all ends, and checks that.
func (c *client) behindEnds(start feed.Start) bool {
	high := c.node.high()
	complete, known := c.node.feed.TryComplete(c.obs.filters, start)
	if !known || !complete {
		return false
	}
	at := c.obs.start.named
	if at.Epoch == "" {
		at.Epoch = high.Epoch
	}
	c.w.note("%s has the ends of all subjects at %s", c.name, at)
	c.obs.at = place{at.Seq, at.Epoch, c.obs.start.order, c.obs.start.tick}
	if c.obs.start.madeUp {
		c.obs.at.order = c.w.rec.order
	}
	c.obs.complete(high)
	c.w.complete++
	return true
}
