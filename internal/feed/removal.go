package feed

import (
	"slices"
	"sync/atomic"
	"time"
)

// Removal is the reason for removing a frame from the window before its bounds required it.
type Removal uint8

// Reasons for a removal.
const (
	RemovedTrimmed    Removal = iota // the stream begins later: retention or a purge
	RemovedExpired                   // its own lifetime or the stream's max_age is over
	RemovedSuperseded                // the stream keeps fewer events of the subject
	RemovedDeleted                   // the stream does not have it, for another reason
	removals
)

var removalNames = [removals]string{"trimmed", "expired", "superseded", "deleted"}

// String returns the label of the metric.
func (r Removal) String() string { return removalNames[r] }

// removalCounts counts by reason.
type removalCounts [removals]atomic.Uint64

func (c *removalCounts) load() map[Removal]uint64 {
	counts := make(map[Removal]uint64, removals)
	for r := range removals {
		counts[r] = c[r].Load()
	}
	return counts
}

// limits are those of the stream, as its leader reported them last.
type limits struct {
	perSubject int
	maxAge     time.Duration
	lifetimes  bool
}

// setLimits follows a change of the stream's configuration.
func (w *window) setLimits(state State) {
	now := limits{state.MaxPerSubject, state.MaxAge, state.Lifetimes}
	if now == w.limits {
		return
	}
	w.limits = now
	clear(w.crowded)
	if now.perSubject > 0 {
		for subject, of := range w.subjects {
			if of.len() > now.perSubject {
				w.crowded[subject] = struct{}{}
			}
		}
	}
	w.expiries = w.expiries[:0]
	if now.lifetimes {
		for i := range w.frames.len() {
			if f := w.frames.at(i); f.expires != 0 {
				w.addExpiry(f)
			}
		}
	}
}

// remove takes out frames that the stream no longer has, and remembers their subjects. The
// sequences rise. It costs a copy of the window's pointers, not a check of each frame.
func (w *window) remove(seqs []uint64) (n int) {
	removed := w.frames.remove(seqs)
	if len(removed) == 0 {
		return 0
	}
	w.deletions.round++
	for _, f := range removed {
		f.removed.Store(true)
		f.dropEnvelope()
		w.bytes -= f.Size()
		w.deletions.add(f, w.low)
		of := w.subjects[f.Subject]
		if of.at(0) == f {
			of.pop()
		} else {
			of.remove([]uint64{f.Seq})
		}
		if of.len() == 0 {
			delete(w.subjects, f.Subject)
		}
	}
	return len(removed)
}

// trim follows a stream that now begins at first.
func (w *window) trim(first uint64) (n int) {
	for ; w.frames.len() > 0 && w.frames.at(0).Seq < first; n++ {
		w.evict().removed.Store(true)
	}
	w.low = max(w.low, min(first-min(first, 1), w.high))
	if n > 0 {
		w.deletions.round++
	}
	return n
}

// setFloorLocked follows the window and the stream. A frame that has left the window for its bounds
// may still wait for a client that is slow, and is no longer marked when it is deleted. Where
// nothing was deleted from the inside of the stream, it is stored unless it lies before the first.
func (f *Feed) setFloorLocked() {
	if f.anyDeleted {
		f.floor.Store(f.window.low + 1)
	} else {
		f.floor.Store(f.first)
	}
}

// trimAge drops events that have reached the max_age of the stream. Positions before them require the
// store, which decides.
func (w *window) trimAge(now int64) (n int) {
	age := int64(w.limits.maxAge)
	if age <= 0 {
		return 0
	}
	for ; w.frames.len() > 0 && w.frames.at(0).stored <= now-age; n++ {
		w.evict().removed.Store(true)
	}
	if n > 0 {
		w.deletions.round++
	}
	return n
}

// supersede removes the events that the stream has replaced by later ones of their subjects, as of
// the time when its last sequence was last. Where it keeps one of a subject, that is certain. Where it
// keeps several, it is a guess: an event of the subject that was deleted otherwise since the last
// comparison made room for an older one, which the window then lacks, and the numbers come out even all
// the same. So such windows are read from time to time.
func (w *window) supersede(last uint64) (n int) {
	if w.limits.perSubject == 0 || len(w.crowded) == 0 {
		return 0
	}
	var seqs []uint64
	for subject := range w.crowded {
		of := w.subjects[subject]
		if of == nil {
			delete(w.crowded, subject)
			continue
		}
		old := max(of.search(last)-w.limits.perSubject, 0)
		for i := range old {
			seqs = append(seqs, of.at(i).Seq)
		}
		if of.len()-old <= w.limits.perSubject {
			delete(w.crowded, subject)
		}
	}
	slices.Sort(seqs)
	return w.remove(seqs)
}
