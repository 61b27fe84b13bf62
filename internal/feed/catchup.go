package feed

import (
	"context"
	"slices"
	"time"
)

// catchUpFrames is how many frames are returned from the window at a time.
const catchUpFrames = 256

// retryPause is how long a subscription waits, unless it is woken, for a store that fails or
// for a tail that has not read yet the events that the store has.
const retryPause = 250 * time.Millisecond

// coveredLocked reports whether the window continues the cursor. A cursor ahead of the tail
// counts when the leader has confirmed it: another node's tail was faster.
func (s *Subscription) coveredLocked() bool {
	f := s.feed
	return s.same(f.incarnation) && s.cursor >= f.window.low && (s.cursor <= f.window.high || s.verified == f.resets)
}

// pollStretches bounds how much of the window one Poll reads, to about 1 ms with 64 wildcard filters:
// the goroutine that calls it writes to other clients, too.
const pollStretches = 8

// readWindow returns frames of the window, and goes live when it has reached the end of the window.
// covered is false where the store must be read first. Where pollStretches are not enough it wakes the
// subscription, so that another Poll continues.
//
// Frames of wildcards are matched while the feed is not locked; see windowReader.
func (s *Subscription) readWindow(room int) (d Delivery, covered bool) {
	r := newWindowReader(s.filters)
	for range pollStretches {
		unmatched, d, covered, done := s.readOrGoLive(room, r)
		if !covered || done || !d.Empty() {
			return d, covered
		}
		if len(unmatched) == 0 {
			continue
		}
		frames, upTo := r.set.match(unmatched)
		s.mu.Lock()
		switch {
		case s.state != CatchingUp: // the next Poll resyncs
			done = true
		case slices.ContainsFunc(frames, func(f *Frame) bool { return f.removed.Load() }):
			// deleted since it was copied: the next stretch finds the gap
		default:
			d.Frames = s.readLocked(frames, upTo, room)
		}
		s.mu.Unlock()
		if done || !d.Empty() {
			return d, true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLocked()
	return Delivery{}, true
}

// readOrGoLive does the part of readWindow for which the feed is locked:
//
//   - If events after the cursor were deleted that matched, or may have matched, it returns their gap.
//   - With wildcards and more than joinAtOnce frames left, it returns unmatched frames: the caller matches
//     them after the unlock.
//   - Otherwise it returns matching frames. At the end of the window the subscription goes live.
//
// covered is false where the window does not continue the cursor. done reports that there is nothing more
// to read now.
//
// Each event is either among the frames read, or is enqueued later: the index is entered under the same
// lock under which the last frames are read.
func (s *Subscription) readOrGoLive(room int, r *windowReader) (unmatched []*Frame, d Delivery, covered, done bool) {
	f := s.feed
	f.expireDue()
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != CatchingUp {
		return nil, Delivery{}, true, true // the next Poll resyncs
	}
	s.advanceCursorLocked()
	if !s.coveredLocked() {
		return nil, Delivery{}, false, false
	}
	deleted := &f.window.deletions
	if deleted.matches(s.cursor, s.announced, s.filters) {
		if !s.reserveGapTurnLocked() {
			return nil, Delivery{}, true, true
		}
		s.holdAckedLocked()
		s.announced = deleted.round
		gap := newGap(Possible, s.positionLocked().String(), f.lastStateLocked(), s.cursor)
		return nil, Delivery{Gap: gap}, true, false
	}
	var frames []*Frame
	upTo := f.window.high
	if r.set.wildcard {
		unmatched, left := f.window.copyAfter(r.buf, s.cursor)
		if left > 0 || len(unmatched) > joinAtOnce {
			return unmatched, Delivery{}, true, false
		}
		frames, _ = r.set.match(unmatched) // all: joinAtOnce is less than catchUpFrames
	} else {
		frames, upTo = f.window.pick(s.cursor, r.set.filters, catchUpFrames)
	}
	frames = s.readLocked(frames, upTo, room)
	if s.cursor >= f.window.high {
		s.announced = deleted.round
		s.setStateLocked(Live)
	}
	return nil, Delivery{Frames: frames}, true, s.state == Live
}

// readLocked moves the cursor to upTo, or to the last of frames that there is room for, and returns
// those.
func (s *Subscription) readLocked(frames []*Frame, upTo uint64, room int) []*Frame {
	if n := fitting(frames, room); n < len(frames) {
		frames = frames[:n]
		upTo = frames[n-1].Seq
	}
	if len(frames) > 0 {
		s.holdAckedLocked()
	}
	s.cursor = max(s.cursor, upTo)
	s.enqueuedTo = s.cursor
	return frames
}

// A leader that is behind its replicas is so for milliseconds. These requests outlast a stall of it.
const (
	shortRequests = 10
	shortPause    = 100 * time.Millisecond
)

// verify requests the state of the stream from its leader, and remembers that the sequences had their
// meaning then. A replicated stream that ends before the position is requested again, for a second in
// all.
func (s *Subscription) verify(ctx context.Context, at Position) (State, error) {
	f := s.feed
	for request := 1; ; request++ {
		f.mu.RLock()
		resets, rewinds := f.resets, f.reused.times
		f.mu.RUnlock()
		state, err := f.store.State(ctx)
		if err != nil {
			return state, err
		}
		s.replay.rewinds = rewinds
		s.mu.Lock()
		s.verified = resets
		s.mu.Unlock()
		short := state.Replicated && state.Copy == Original && at.Epoch == state.Epoch && at.Seq > state.LastSeq
		if !short || request == shortRequests {
			return state, nil
		}
		select {
		case <-time.After(shortPause):
		case <-ctx.Done():
			return State{}, context.Cause(ctx)
		}
	}
}

// beginReplay compares the cursor with the stream and opens a replay of the events between them. A gap has
// moved the cursor.
func (s *Subscription) beginReplay(ctx context.Context) (Delivery, error) {
	s.mu.Lock()
	at := place{s.incarnation, s.cursor}
	s.mu.Unlock()
	gap, err := s.replayFrom(ctx, at)
	switch {
	case ctx.Err() != nil:
		return Delivery{}, context.Cause(ctx)
	case gap != nil: // a replay that failed is opened by the next Fetch
		return Delivery{Gap: gap}, nil
	case err != nil:
		s.feed.opts.Logger.Debug("feed: store request failed; the replay waits", "error", err)
		return Delivery{}, s.wait(ctx, time.After(retryPause))
	case s.replay.reader == nil:
		return Delivery{}, s.wait(ctx, time.After(retryPause)) // the store has no more: the tail is about to read it
	}
	return Delivery{}, nil
}

// replayFrom opens a replay behind a place that the leader has verified.
func (s *Subscription) replayFrom(ctx context.Context, at place) (*Gap, error) {
	state, err := s.verify(ctx, at.position())
	if err != nil {
		return nil, err
	}
	return s.openReplay(ctx, resolvePlace(at, at.position().String(), state), state)
}

// openReplay opens the replay of a resolved place. Without a gap and without a reader the store has
// nothing behind the place, or a reset moves the subscription.
func (s *Subscription) openReplay(ctx context.Context, r resolved, state State) (*Gap, error) {
	if r.mirrorWait {
		s.feed.mirrorWait.add(s, r.at.position()) // it goes live, and gets the events behind its cursor
		return nil, nil
	}
	s.mu.Lock()
	if s.state == Resyncing {
		s.mu.Unlock()
		return nil, nil
	}
	if r.gap != nil {
		s.holdAckedLocked()
	}
	s.placeLocked(r.at)
	reopen := s.state == Suspended && r.gap == nil && s.replay.suspendedTo > r.at.seq
	if s.state == Suspended && !reopen {
		s.setStateLocked(CatchingUp)
	}
	s.mu.Unlock()
	if reopen {
		return nil, s.openReader(ctx, state, ReadOptions{From: r.at.seq + 1, To: min(s.replay.suspendedTo, state.LastSeq), LastPerSubject: true})
	}
	gap := r.gap
	if gap == nil {
		var err error
		if gap, err = s.gapBefore(ctx, r.requested, state); err != nil {
			return nil, err
		}
	}
	if r.at.seq >= state.LastSeq {
		return gap, nil
	}
	return gap, s.openReader(ctx, state, ReadOptions{From: r.at.seq + 1, To: state.LastSeq})
}

// announcedDeletions is the end up to which deletions from the inside of the stream were announced,
// and the stream then: more deletions, or others, may lie within the same range.
type announcedDeletions struct {
	incarnation
	upTo, first, deleted uint64
}

func newAnnounced(state State) announcedDeletions {
	return announcedDeletions{state.incarnation(), state.LastSeq, state.FirstSeq, state.Deleted}
}

// gapBefore returns the gap for deletions from the inside of the stream between the cursor and its
// end. Each range is announced once, unless more was deleted.
func (s *Subscription) gapBefore(ctx context.Context, requested string, state State) (*Gap, error) {
	from, a := s.cursor+1, &s.replay.announced
	if a.incarnation == state.incarnation() && a.first == state.FirstSeq && a.deleted == state.Deleted {
		from = max(from, a.upTo+1)
	}
	if state.Deleted == 0 || from > state.LastSeq {
		return nil, nil
	}
	deleted, err := s.feed.store.HasDeleted(ctx, from, state.LastSeq)
	if err != nil || !deleted {
		return nil, err
	}
	*a = newAnnounced(state)
	return newGap(Possible, requested, state, s.cursor), nil
}
