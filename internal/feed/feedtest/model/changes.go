package model

import (
	"math/rand/v2"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// change carries out an operation on the stream, which is there.
func (w *world) change(kind opKind, rng *rand.Rand) {
	switch kind {
	case opPublish:
		for range 1 + rng.IntN(4) {
			w.publish(rng)
		}
	case opCopy:
		w.copyMore(1 + rng.IntN(6))
	case opTrim:
		w.trim(rng)
	case opDelete:
		w.delete(rng)
	case opPurgeSubject:
		w.purgeSubject(rng)
	case opRecreate:
		w.replace()
		w.replace()
	case opBackUp:
		w.note("back up: %d", w.rec.current.last)
		w.store.BackUp()
		w.rec.backUp()
	case opRollBack, opRestore:
		w.restore(kind)
	}
}

func (w *world) publish(rng *rand.Rand) {
	subject, size, end := oneOf(rng, subjects...), rng.IntN(w.p.Large+1), rng.IntN(3) == 0
	if w.p.Mirror && len(w.nodes) > 0 {
		w.note("the origin stores an event on %s", subject)
		w.origin = append(w.origin, queued{subject, size, end})
		w.store.(mirror).SetCopy(feed.CopyBehind)
		return
	}
	w.publishOn(subject, size, end)
}

// copyMore lets the mirror store up to n events that its origin has.
func (w *world) copyMore(n int) {
	for ; n > 0 && len(w.origin) > 0; n-- {
		w.publishOn(w.origin[0].subject, w.origin[0].size, w.origin[0].end)
		w.origin = w.origin[1:]
	}
	if m, ok := w.store.(mirror); ok && w.p.Mirror && len(w.origin) == 0 {
		m.SetCopy(feed.CopyCaughtUp)
	}
}

// newest is the last sequence that a client may have: the origin's, where there is one.
func (w *world) newest() uint64 { return w.rec.current.last + uint64(len(w.origin)) }

func (w *world) publishOn(subject string, size int, end bool) {
	publish, text := w.store.Publish, ""
	if end {
		publish, text = w.store.PublishEnd, ", its end"
	}
	e := &event{subject: subject, end: end, sent: time.Now()}
	e.seq = publish(subject, content(w.rec.nextOrder(), size))
	e.acked = time.Now()
	w.rec.publish(e)
	w.note("publish %d (%d) on %s%s", e.seq, e.order, subject, text)
}

func (w *world) trim(rng *rand.Rand) {
	there := w.rec.present()
	if len(there) == 0 {
		return
	}
	first := there[rng.IntN(len(there))].seq
	if rng.IntN(4) == 0 {
		first = w.rec.current.last + 1
	}
	w.note("trim to %d", first)
	w.rec.remove(func(e *event) bool { return e.seq < first })
	w.store.Trim(first)
}

// delete takes an event out: mostly from the inside, sometimes the first or the last.
func (w *world) delete(rng *rand.Rand) {
	there := w.rec.present()
	if len(there) == 0 {
		return
	}
	gone := there[rng.IntN(len(there))]
	if rng.IntN(6) == 0 {
		gone = there[len(there)-1]
	}
	w.note("delete %d (%d)", gone.seq, gone.order)
	w.rec.remove(func(e *event) bool { return e == gone })
	w.store.Delete(gone.seq)
}

func (w *world) purgeSubject(rng *rand.Rand) {
	subject := oneOf(rng, subjects...)
	w.note("purge %s", subject)
	w.rec.remove(func(e *event) bool { return e.subject == subject })
	w.store.PurgeSubject(subject)
}

// replace removes the stream, or makes one where there is none.
func (w *world) replace() {
	w.disturbed()
	if !w.missing {
		w.note("remove the stream")
		w.lost(func(seen map[int]uint64) {
			w.store.Remove()
			w.rec.removeStream(seen)
		}, 0)
		w.missing = true
		return
	}
	w.store.Recreate()
	w.rec.recreated(w.store.Epoch())
	w.rec.births = append(w.rec.births, w.rec.tick)
	w.missing = false
	w.note("create the stream: epoch %s", w.rec.current.epoch)
}

func (w *world) restore(kind opKind) {
	if len(w.rec.backups) == 0 {
		return
	}
	w.disturbed()
	floor := w.rec.backups[len(w.rec.backups)-1].last
	w.note("%s to %d", kind, floor)
	w.lost(func(seen map[int]uint64) {
		if kind == opRestore {
			w.store.Restore()
		} else {
			w.store.RollBack()
		}
		w.rec.restore(w.store.Epoch(), kind == opRestore, seen)
	}, floor)
	if kind == opRestore {
		w.rec.births = append(w.rec.births, w.rec.tick)
	}
	w.note("the stream is %s", w.rec.current.epoch)
}

// lost carries out a change that takes the end of the stream. Clients that are further than
// their node's tail was may not learn what replaced it.
func (w *world) lost(change func(seen map[int]uint64), floor uint64) {
	seen, before := w.seen(), w.rec.current
	loss := lostEnd{floor: floor, seen: seen}
	last := before.last
	change(seen)
	for _, c := range w.clients {
		at := c.obs.at.seq
		if c.sub == nil || c.busy || c.sub.State() != feed.Live {
			at = last // a replay to the end may be under way
		}
		if loss.unseenBy(c.node.id, at) && (c.sub == nil || c.obs.at.epoch == before.epoch) {
			c.obs.blind = true
		}
	}
}
