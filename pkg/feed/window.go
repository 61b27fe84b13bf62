package feed

import "time"

// window holds the recent frames of a stream. It covers the sequences (low, high]: whatever
// was stored there is in it, so that a position of low or more resumes without the log.
//
// Not safe for concurrent use; Feed.mu guards it.
type window struct {
	maxEvents, maxBytes int

	low, high uint64
	bytes     int
	frames    deque
	subjects  map[string]*deque
}

func newWindow(maxEvents, maxBytes int) *window {
	return &window{maxEvents: maxEvents, maxBytes: maxBytes, subjects: map[string]*deque{}}
}

// reset empties the window: it covers nothing, and goes on after seq.
func (w *window) reset(seq uint64) {
	*w = *newWindow(w.maxEvents, w.maxBytes)
	w.low, w.high = seq, seq
}

// add appends the frame that follows high, and forgets the oldest beyond the bounds.
func (w *window) add(f *Frame) {
	w.frames.push(f)
	of := w.subjects[f.Subject]
	if of == nil {
		of = &deque{}
		w.subjects[f.Subject] = of
	}
	of.push(f)
	w.bytes += f.size
	w.high = f.Seq
	for w.frames.len() > w.maxEvents || w.bytes > w.maxBytes {
		w.evict()
	}
}

func (w *window) evict() {
	f := w.frames.pop()
	w.bytes -= f.size
	w.low = f.Seq
	of := w.subjects[f.Subject]
	of.pop() // the oldest frame of all is the oldest of its subject
	if of.len() == 0 {
		delete(w.subjects, f.Subject)
	}
}

// span is when its oldest and its newest frame were stored; zero for none.
func (w *window) span() (oldest, newest time.Time) {
	n := w.frames.len()
	if n == 0 {
		return oldest, newest
	}
	return time.Unix(0, w.frames.at(0).stored), time.Unix(0, w.frames.at(n-1).stored)
}
