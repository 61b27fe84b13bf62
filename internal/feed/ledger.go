package feed

import (
	"slices"
	"time"
)

// ledger compares how many sequences a window lacks with the number of deleted sequences that the stream reports.
// Where the numbers agree, the window holds nothing that the stream does not, and nothing need be
// read to know that.
//
// The stream counts the deleted sequences between its first and its last. Those below the
// window are not known one by one; their number is, from the last comparison that came out even.
type ledger struct {
	known   bool
	outside int64    // deleted below the window
	first   uint64   // State.FirstSeq then
	passed  uint64   // window.passed then
	expired []expiry // removed by the window recently, see expire
}

// expiryGrace is how late a stream may delete an event whose lifetime is over: nats-server
// 2.15.2 looks for them with the precision of a second.
const expiryGrace = 2500 * time.Millisecond

// expire remembers events that the window removed before the stream may have done so.
func (l *ledger) expire(events []expiry, now int64) {
	l.expired = slices.DeleteFunc(l.expired, func(e expiry) bool { return e.at < now-int64(expiryGrace) })
	l.expired = append(l.expired, events...)
}

// early is how many events of the range the stream may still have though the window removed them.
func (l *ledger) early(after, upTo uint64) (n int64) {
	for _, e := range l.expired {
		if after < e.seq && e.seq <= upTo {
			n++
		}
	}
	return n
}

type comparison uint8

const (
	even    comparison = iota // the window holds nothing that the stream does not
	unclear                   // the numbers do not show it
	uneven                    // it does, or it lacks something that the stream has
)

// compare requires a window that has reached the end of the state.
//
// The unexplained number is the sum of: deletions in the window that it does not show, deletions below
// it (unless their number is certain), less the early ones that the stream still has, less those
// that have left at the front of the stream.
func (l *ledger) compare(w *window, state State) comparison {
	base := max(w.low, state.FirstSeq-min(state.FirstSeq, 1))
	last := max(base, state.LastSeq)
	missing := int64(last-base) - int64(w.frames.search(last)-w.frames.search(base)) //nolint:gosec // below 2^63
	early := l.early(base, last)
	outside := int64(state.Deleted) - missing //nolint:gosec // below 2^63
	known, passed, certain := l.outsideOf(w, state)
	unexplained := outside - known
	switch {
	case passed < 0:
		return unclear
	case unexplained == -early && passed == 0:
		l.even(w, state, outside+early)
		return even
	case certain && unexplained > 0, unexplained < -early-passed:
		return uneven
	}
	return unclear
}

// outsideOf returns how many sequences were deleted below the window, as far as it is known, and
// how many of them may have left at the front of the stream since; below zero where nothing is
// known. certain reports that none were deleted there since.
func (l *ledger) outsideOf(w *window, state State) (known, passed int64, certain bool) {
	switch {
	case state.FirstSeq > w.low, state.Deleted == 0:
		return 0, 0, true
	case !l.known:
		return 0, -1, false
	}
	known = l.outside + int64(w.passed-l.passed) //nolint:gosec // below 2^63
	if state.FirstSeq > l.first {
		passed = min(known, int64(state.FirstSeq-l.first)) //nolint:gosec // below 2^63
	}
	return known, passed, false
}

// even records a state at which the window held nothing that the stream did not.
func (l *ledger) even(w *window, state State, outside int64) {
	l.known, l.outside, l.first, l.passed = true, outside, state.FirstSeq, w.passed
}
