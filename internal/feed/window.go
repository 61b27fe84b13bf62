package feed

import "time"

// window holds the recent frames of a stream. It covers the sequences (low, high]. Of the events stored
// there it has each one that the stream still had when they were last compared; deletions has the
// others, as far as subscriptions need them. So a position of low or more resumes without the store: with
// the frames after it, and a gap where deletions has a match.
//
// Not safe for concurrent use; Feed.mu guards it.
type window struct {
	maxEvents, maxBytes int

	low, high uint64
	bytes     int // of frames, without their envelopes
	frames    deque
	shared    *incarnationFrames // of frames
	subjects  map[string]*deque
	deletions deletions

	limits   limits
	crowded  map[string]struct{} // subjects with more than limits.perSubject frames
	expiries expiries            // of the frames with a lifetime
	passed   uint64              // sequences without a frame that low has passed
	evicted  uint64              // frames that low has passed
}

func newWindow(maxEvents, maxBytes int) *window {
	return &window{
		maxEvents: maxEvents, maxBytes: maxBytes, subjects: map[string]*deque{}, shared: &incarnationFrames{},
		deletions: newDeletions(), crowded: map[string]struct{}{},
	}
}

// reset empties the window: it covers nothing, and continues after seq.
func (w *window) reset(seq uint64) {
	round, limits := w.deletions.round, w.limits
	*w = *newWindow(w.maxEvents, w.maxBytes)
	w.low, w.high = seq, seq
	w.deletions.round, w.limits = round, limits
}

// add appends the frame that follows high, and drops the oldest beyond the bounds.
func (w *window) add(f *Frame) {
	w.frames.push(f)
	of := w.subjects[f.Subject]
	if of == nil {
		of = &deque{}
		w.subjects[f.Subject] = of
	}
	of.push(f)
	if w.limits.perSubject > 0 && of.len() > w.limits.perSubject {
		w.crowded[f.Subject] = struct{}{}
	}
	if f.expires != 0 && w.limits.lifetimes {
		w.addExpiry(f)
	}
	w.bytes += f.Size()
	w.high = f.Seq
	w.dropOldEnvelopes()
	for w.frames.len() > w.maxEvents || w.size() > w.maxBytes && w.frames.len() > 0 {
		w.evict()
	}
}

// size is about how many bytes the frames and their envelopes hold.
func (w *window) size() int { return w.bytes + int(w.shared.bytes.Load()) }

// envelopeShare is the part of maxBytes that envelopes may have: a quarter. Clients that read far back do
// not take the memory of the frames that others resume from. Those that are encoded between two events come on top
// until the next event.
const envelopeShare = 4

// share returns the part that the frames of an epoch share.
func (w *window) share(epoch string) *incarnationFrames {
	if w.shared.epoch != epoch || w.shared.limit == 0 {
		w.shared = &incarnationFrames{epoch: epoch, limit: max(int64(w.maxBytes/envelopeShare), 1)}
	}
	return w.shared
}

// dropOldEnvelopes makes room for those of new events: once the envelopes have nearly as many bytes as they may
// have, the oldest ones go.
func (w *window) dropOldEnvelopes() {
	shared := w.shared
	if shared.bytes.Load() <= shared.limit*3/4 {
		return
	}
	for i := w.frames.search(shared.from.Load()); i < w.frames.len() && shared.bytes.Load() > shared.limit/2; i++ {
		f := w.frames.at(i)
		shared.from.Store(f.Seq)
		f.dropEnvelope()
	}
}

func (w *window) evict() *Frame {
	f := w.frames.pop()
	w.bytes -= f.Size()
	w.shared.from.Store(max(w.shared.from.Load(), f.Seq))
	f.dropEnvelope()
	w.evicted++
	w.passed += f.Seq - w.low - 1
	w.low = f.Seq
	of := w.subjects[f.Subject]
	of.pop() // the oldest frame of all is the oldest of its subject
	if of.len() == 0 {
		delete(w.subjects, f.Subject)
	}
	return f
}

// dropTo makes the window begin after seq.
func (w *window) dropTo(seq uint64) {
	for w.frames.len() > 0 && w.frames.at(0).Seq <= seq {
		w.evict()
	}
	w.low = max(w.low, seq)
}

// span is when its oldest and its newest frame were stored; zero for none.
func (w *window) span() (oldest, newest time.Time) {
	n := w.frames.len()
	if n == 0 {
		return oldest, newest
	}
	return time.Unix(0, w.frames.at(0).stored), time.Unix(0, w.frames.at(n-1).stored)
}
