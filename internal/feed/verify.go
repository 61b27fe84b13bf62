package feed

import (
	"context"
	"errors"
	"io"
	"time"
)

// verification has the cost of comparing a window with its stream by reading.
type verification struct {
	noStream int           // polls in a row that found no stream
	guessed  bool          // events were superseded by a guess since the last read
	next     time.Time     // not to be read before
	nothing  State         // where the last read found nothing
	retry    time.Time     // not to be read before while the stream still shows the same deletions
	last     time.Time     // when it was read
	took     time.Duration // to read it
	idle     time.Duration // the pause after a read that found nothing
}

// Bounds of the pause after a read. A window of 65,536 frames takes about as long as a replay of as many
// events, a quarter of a second on an idle machine.
const (
	readShare    = 4  // pauses for so many times as long as the read took
	guessShare   = 20 // as readShare, where only guesses are to be checked; see supersede
	firstIdle    = pollPause
	lastIdle     = 8 * time.Second
	readTimeout  = 10 * time.Second
	countAttempt = 3
)

func (v *verification) due(state State) bool {
	now := time.Now()
	if v.nothing.Deleted == state.Deleted && v.nothing.FirstSeq == state.FirstSeq && now.Before(v.retry) {
		return false
	}
	return !now.Before(v.next)
}

// guessDue reports that guesses have not been checked for a while.
func (v *verification) guessDue() bool { return v.guessed && time.Since(v.last) >= guessShare*v.took }

// readEnded sets when the window may be read again.
func (v *verification) readEnded(began time.Time, state State, found, ended bool) {
	v.last = time.Now()
	v.took = v.last.Sub(began)
	if found || v.guessed {
		v.idle = 0
	} else {
		v.idle = min(max(2*v.idle, firstIdle), lastIdle)
	}
	if ended {
		v.guessed = false
	}
	v.nothing, v.retry = state, v.last.Add(v.idle/2)
	v.next = v.last.Add(readShare * v.took)
}

// countIsEven compares the number of events that the stream has from the window on with the number
// of frames. While events are being published that proves something only if it comes out even: later
// events make the window larger, and deletions make the count smaller. So it is tried a few times.
func (f *Feed) countIsEven(ctx context.Context, state State) bool {
	for range countAttempt {
		before := f.contents()
		if before.early || before.low >= state.LastSeq {
			return false
		}
		f.counted.Add(1)
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		count, err := f.store.Count(ctx, before.low+1)
		var now State
		if err == nil {
			now, err = f.store.State(ctx)
		}
		cancel()
		if err != nil || !f.awaitHigh(ctx, now.LastSeq) {
			return false
		}
		if f.acceptCount(before, state, now, count) {
			return true
		}
	}
	return false
}

// contents describes the window at one moment.
type contents struct {
	low, high, passed, round, resets uint64
	evicted                          uint64
	early                            bool
}

func (f *Feed) contents() contents {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.contentsLocked()
}

func (f *Feed) contentsLocked() contents {
	w := f.window
	return contents{
		low: w.low, high: w.high, passed: w.passed, round: w.deletions.round, resets: f.resets,
		evicted: w.evicted, early: f.ledger.early(w.low, w.high) > 0,
	}
}

// acceptCount records the state from before the count as even, if the count agrees with the window.
func (f *Feed) acceptCount(before contents, state, now State, count uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	w, at := f.window, f.contentsLocked()
	if at.resets != before.resets || at.round != before.round || state.LastSeq < w.low {
		return false
	}
	frames := at.evicted - before.evicted + uint64(w.frames.search(now.LastSeq)) //nolint:gosec // a count
	if frames != count {
		return false
	}
	base := max(w.low, state.FirstSeq-min(state.FirstSeq, 1))
	missing := int64(state.LastSeq-base) - int64(w.frames.search(state.LastSeq)-w.frames.search(base)) //nolint:gosec // below 2^63
	f.ledger.even(w, state, int64(state.Deleted)-missing)                                              //nolint:gosec // below 2^63
	return true
}

// readAgainst reads the headers of the stream in the range of the window, and removes the frames whose
// events are missing there. Where the stream has an event that the window lacks, the window
// begins after it.
func (f *Feed) readAgainst(ctx context.Context, state State) {
	began := time.Now()
	f.compared.Add(1)
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	held := f.frameSeqs(state.LastSeq)
	diff, ended := f.difference(ctx, state, held)
	if diff.foreign {
		return
	}
	n := f.applyDifference(held, diff)
	f.verification.readEnded(began, state, n > 0, ended)
	f.opts.Logger.Debug("feed: window compared with the stream", "events", len(held.seqs), "removed", n, "complete", ended)
}

// heldFrames are the sequences of the frames of a window.
type heldFrames struct {
	after  uint64 // where the range begins
	seqs   []uint64
	early  map[uint64]bool // removed by the window before the stream may have done so
	resets uint64
}

func (f *Feed) frameSeqs(upTo uint64) heldFrames {
	f.mu.RLock()
	defer f.mu.RUnlock()
	w := f.window
	held := heldFrames{after: w.low, seqs: make([]uint64, w.frames.search(upTo)), early: map[uint64]bool{}, resets: f.resets}
	for i := range held.seqs {
		held.seqs[i] = w.frames.at(i).Seq
	}
	for _, e := range f.ledger.expired {
		held.early[e.seq] = true
	}
	return held
}

// difference is the difference between a stream and a window.
type difference struct {
	missing []uint64 // not in the stream any more
	lacking uint64   // the last one that the stream has and the window has not; 0 for none
	foreign bool     // the stream is another incarnation
}

// difference reads up to the end of the state. ended reports that all of it was read.
func (f *Feed) difference(ctx context.Context, state State, held heldFrames) (diff difference, ended bool) {
	if held.after >= state.LastSeq {
		return diff, true
	}
	reader, err := f.store.Read(ctx, ReadOptions{From: held.after + 1, To: state.LastSeq, HeadersOnly: true})
	if err != nil {
		return diff, false
	}
	defer reader.Close()
	left := held.seqs
	for {
		batch, err := reader.Next(ctx)
		if err != nil && !errors.Is(err, io.EOF) {
			return diff, false
		}
		if !batch.State.incarnation().same(state.incarnation()) {
			return difference{foreign: true}, false
		}
		for _, ev := range batch.Events {
			for len(left) > 0 && left[0] < ev.Seq {
				diff.missing, left = append(diff.missing, left[0]), left[1:]
			}
			switch {
			case len(left) > 0 && left[0] == ev.Seq:
				left = left[1:]
			case !held.early[ev.Seq]:
				diff.lacking = ev.Seq
			}
		}
		if err != nil {
			diff.missing = append(diff.missing, left...)
			return diff, true
		}
	}
}

func (f *Feed) applyDifference(held heldFrames, diff difference) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.window
	if f.resets != held.resets {
		return 0
	}
	n = w.remove(diff.missing)
	f.removedLocked(RemovedDeleted, n)
	if diff.lacking > w.low {
		f.opts.Logger.Warn("feed: window lacks an event that the stream has; it begins after that event", "sequence", diff.lacking)
		w.dropTo(diff.lacking)
	}
	if n > 0 || diff.lacking > 0 {
		f.ledger.known = false
	}
	return n
}
