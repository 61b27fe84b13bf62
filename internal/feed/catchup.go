package feed

import (
	"context"
	"slices"
	"time"
)

// catchUpFrames is how many frames are taken from the window at a time.
const catchUpFrames = 256

// retryPause is how long a subscription waits, unless it is woken, for a log that fails or
// for a tail that is yet to see what the log already says.
const retryPause = 250 * time.Millisecond

// coveredLocked reports whether the window continues the cursor. A cursor ahead of the tail
// counts when the leader has confirmed it: another node's tail was faster.
func (s *Subscription) coveredLocked() bool {
	f := s.feed
	return s.epoch == f.epoch && sameIncarnation(s.created, f.created) && s.cursor >= f.window.low &&
		(s.cursor <= f.window.high || s.verified == f.resets)
}

// beginReplay opens a replay from the log where the cursor stands.
func (s *Subscription) beginReplay(ctx context.Context) (Delivery, error) {
	gap, err := s.openReplay(ctx, "")
	switch {
	case ctx.Err() != nil:
		return Delivery{}, context.Cause(ctx)
	case gap != nil: // it has moved the cursor; a replay that failed is opened by the next call
		return Delivery{Gap: gap}, nil
	case err != nil:
		s.feed.opts.Logger.Debug("a replay waits for the log", "error", err)
		return Delivery{}, s.wait(ctx, time.After(retryPause))
	case s.replay.reader == nil:
		return Delivery{}, s.wait(ctx, time.After(retryPause)) // the log has nothing more: the tail is about to see it
	}
	return Delivery{}, nil
}

// join takes frames from the window, and enters the index when that makes it level: caughtUp. It
// looks at one stretch where there are wildcards. Where events were deleted after the cursor that
// matched, or may have, a gap comes before the frames.
//
// Each event is in what was read, or is offered later: the index is entered under the same lock
// under which the last frames are read.
func (s *Subscription) join(room int, r *windowReader) (d Delivery, covered, caughtUp bool) {
	looked, d, covered, caughtUp := s.lookOrJoin(room, r)
	if len(looked) == 0 {
		return d, covered, caughtUp
	}
	frames, upTo := r.set.match(looked)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.jump != nil || s.closed:
		return Delivery{}, true, true // for take
	case slices.ContainsFunc(frames, func(f *Frame) bool { return f.removed.Load() }):
		return Delivery{}, true, false // deleted since it was looked at: the next look finds the gap
	}
	return Delivery{Frames: s.readLocked(frames, upTo, room)}, true, false
}

// lookOrJoin joins where little is left to match, and else returns frames that are to be matched.
func (s *Subscription) lookOrJoin(room int, r *windowReader) (looked []*Frame, d Delivery, covered, caughtUp bool) {
	f := s.feed
	f.expireDue()
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jump != nil || s.closed {
		return nil, Delivery{}, true, true // for take
	}
	s.catchUpCursorLocked()
	if !s.coveredLocked() {
		return nil, Delivery{}, false, false
	}
	deleted := &f.window.deletions
	if deleted.matches(s.cursor, s.announced, s.filters) {
		if !s.gapTurnLocked() {
			return nil, Delivery{}, true, true // take waits for the turn
		}
		s.holdLocked()
		s.announced = deleted.round
		gap := newGap(Possible, Position{s.cursor, s.epoch}.String(), f.lastStateLocked(), s.cursor)
		return nil, Delivery{Gap: gap}, true, false
	}
	var frames []*Frame
	upTo := f.window.high
	if r.set.wildcard {
		looked, left := f.window.look(r.buf, s.cursor)
		if left > 0 || len(looked) > joinAtOnce {
			return looked, Delivery{}, true, false
		}
		frames, _ = r.set.match(looked) // all: they are fewer than it returns
	} else {
		frames, upTo = f.window.pick(s.cursor, r.set.filters, catchUpFrames)
	}
	frames = s.readLocked(frames, upTo, room)
	if s.cursor >= f.window.high {
		s.live, s.announced = true, deleted.round
		f.index.add(s)
	}
	return nil, Delivery{Frames: frames}, true, s.live
}

// readLocked moves the cursor to upTo, or to the last of frames that there is room for, and returns
// those.
func (s *Subscription) readLocked(frames []*Frame, upTo uint64, room int) []*Frame {
	if n := fitting(frames, room); n < len(frames) {
		frames = frames[:n]
		upTo = frames[n-1].Seq
	}
	if len(frames) > 0 {
		s.holdLocked()
	}
	s.cursor = max(s.cursor, upTo)
	s.offered = s.cursor
	return frames
}

// pollStretches bounds what one Poll looks at, to about 1 ms with 64 wildcard filters: the goroutine
// that calls it writes to other clients, too.
const pollStretches = 8

// readWindow joins stretch by stretch. Where pollStretches are not enough it wakes the subscription,
// so that another Poll continues.
func (s *Subscription) readWindow(room int) (d Delivery, covered, caughtUp bool) {
	r := newWindowReader(s.filters)
	for range pollStretches {
		d, covered, caughtUp = s.join(room, r)
		if !covered || caughtUp || !d.Empty() {
			return d, covered, caughtUp
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signal()
	return Delivery{}, true, false
}

// verify asks the leader for its state, and remembers that the sequences had this meaning.
func (s *Subscription) verify(ctx context.Context) (State, error) {
	s.feed.mu.RLock()
	resets, times := s.feed.resets, s.feed.reused.times
	s.feed.mu.RUnlock()
	state, err := s.feed.store.State(ctx)
	if err == nil {
		s.replay.times = times
		s.mu.Lock()
		s.verified = resets
		s.mu.Unlock()
	}
	return state, err
}

// A leader that is behind its replicas is so for milliseconds. These looks outlast a stall of it.
const (
	shortLooks = 10
	shortPause = 100 * time.Millisecond
)

// verifyFor is verify for who is at a position: a replicated stream that ends before it is looked
// at again, for a second in all.
func (s *Subscription) verifyFor(ctx context.Context, at Position) (State, error) {
	for look := 1; ; look++ {
		state, err := s.verify(ctx)
		short := state.Replicated && state.Copy == Original && at.Epoch == state.Epoch && at.Seq > state.LastSeq
		if err != nil || !short || look == shortLooks {
			return state, err
		}
		select {
		case <-time.After(shortPause):
		case <-ctx.Done():
			return State{}, context.Cause(ctx)
		}
	}
}

// openReplay compares the cursor with the stream and opens a replay of what lies between.
// A gap has moved the cursor. Neither gap nor reader: the log holds nothing after it, or a
// reset has moved the subscription in between.
func (s *Subscription) openReplay(ctx context.Context, requested string) (*Gap, error) {
	at := Position{s.cursor, s.epoch}
	state, err := s.verifyFor(ctx, at)
	if err != nil {
		return nil, err
	}
	if requested == "" {
		requested = at.String()
	}
	if state.Copy != Original && at.Epoch == state.Epoch && at.Seq > state.LastSeq {
		s.feed.ahead.add(s, at) // it goes live, and gets what comes after its cursor
		return nil, nil
	}
	gap, seq := gapAt(at, s.created, requested, state)
	if !s.moveTo(state, seq, gap != nil) {
		return nil, nil
	}
	if gap == nil && s.replay.lastTo > seq {
		return nil, s.replay.reopenLast(ctx, s, state)
	}
	s.replay.lastTo = 0
	if gap == nil {
		gap, err = s.checkHoles(ctx, requested, state)
	}
	if err != nil || seq >= state.LastSeq {
		return gap, err
	}
	return gap, s.replay.open(ctx, s, state, false)
}

// moveTo places the cursor at seq of the incarnation that state shows, behind a gap if there is
// one. It does nothing, and returns false, when a reset is about to move the subscription.
func (s *Subscription) moveTo(state State, seq uint64, gap bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jump != nil {
		return false
	}
	if gap {
		s.holdLocked()
	}
	s.epoch, s.created, s.cursor, s.offered = state.Epoch, state.Created, seq, seq
	return true
}

// announcedHoles says up to where deletions from the inside of the stream were announced, and how the
// stream stood then: more deletions, or others, may lie within the same stretch.
type announcedHoles struct {
	epoch                string
	born                 int64
	upTo, first, deleted uint64
}

func (a announcedHoles) covers(state State) bool {
	return a.epoch == state.Epoch && a.born == state.Created && a.first == state.FirstSeq && a.deleted == state.Deleted
}

// checkHoles finds deletions from the inside of the stream between the cursor and its end.
// Each stretch is announced once, unless more was deleted.
func (s *Subscription) checkHoles(ctx context.Context, requested string, state State) (*Gap, error) {
	from := s.cursor + 1
	if s.replay.announced.covers(state) {
		from = max(from, s.replay.announced.upTo+1)
	}
	if state.Deleted == 0 || from > state.LastSeq {
		return nil, nil
	}
	holes, err := s.feed.store.HasDeleted(ctx, from, state.LastSeq)
	if err != nil || !holes {
		return nil, err
	}
	s.replay.announced = announcedHoles{state.Epoch, state.Created, state.LastSeq, state.FirstSeq, state.Deleted}
	return newGap(Possible, requested, state, s.cursor), nil
}

// wait blocks until the subscription is woken, or after fires.
func (s *Subscription) wait(ctx context.Context, after <-chan time.Time) error {
	s.listen()
	select {
	case <-s.wake:
		return nil
	case <-after:
		return nil
	case <-s.feed.done:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// listen makes the channel that wait waits for. Who must not miss what changes before wait
// calls it first.
func (s *Subscription) listen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake == nil {
		s.wake = make(chan struct{}, 1)
	}
}
